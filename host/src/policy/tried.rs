//! A request as a policy sees it during one `pick`: with the members it has tried.

use std::borrow::Cow;

use smallvec::SmallVec;

use crate::{
    decision::{FieldsView, RequestView},
    members::PoolMembers,
    snapshot::MemberId,
};

/// The caller's view, with `tried` as indices into the members the policy knows.
///
/// The caller keeps ids: indices may change between two attempts.
pub(super) struct TriedView<'a, R> {
    request: &'a R,
    tried: SmallVec<[u32; 8]>,
}

impl<'a, R: RequestView> TriedView<'a, R> {
    pub fn new(request: &'a R, tried: &[MemberId], members: &PoolMembers) -> Self {
        Self {
            request,
            tried: tried.iter().filter_map(|id| members.index_of(id)).collect(),
        }
    }
}

impl<R: RequestView> FieldsView for TriedView<'_, R> {
    fn header(&self, name: &str) -> Option<&[u8]> {
        self.request.header(name)
    }

    fn headers(&self, name: &str, each: &mut dyn FnMut(&[u8])) {
        self.request.headers(name, each);
    }

    fn header_names(&self, each: &mut dyn FnMut(&str)) {
        self.request.header_names(each);
    }
}

impl<R: RequestView> RequestView for TriedView<'_, R> {
    fn tried(&self) -> &[u32] {
        &self.tried
    }

    fn method(&self) -> &str {
        self.request.method()
    }

    fn path(&self) -> &str {
        self.request.path()
    }

    fn scheme(&self) -> &str {
        self.request.scheme()
    }

    fn authority(&self) -> &str {
        self.request.authority()
    }

    fn original_path(&self) -> &str {
        self.request.original_path()
    }

    fn original_scheme(&self) -> &str {
        self.request.original_scheme()
    }

    fn original_authority(&self) -> &str {
        self.request.original_authority()
    }

    fn cookie(&self, name: &str) -> Option<&[u8]> {
        self.request.cookie(name)
    }

    fn cookies(&self, name: &str, each: &mut dyn FnMut(&[u8])) {
        self.request.cookies(name, each);
    }

    fn query(&self, name: &str) -> Option<Cow<'_, str>> {
        self.request.query(name)
    }

    fn path_parameter(&self, name: &str) -> Option<&str> {
        self.request.path_parameter(name)
    }

    fn attribute(&self, name: &str) -> Option<Cow<'_, str>> {
        self.request.attribute(name)
    }
}
