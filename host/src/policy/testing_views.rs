//! Views of an exchange for tests of `policy`.

use std::borrow::Cow;

use crate::decision::{FieldsView, RequestView, ResponseView, name_bit};

/// A request with headers, cookies, path parameters and attributes given as pairs.
#[derive(Debug, Default)]
pub(super) struct Request {
    pub headers: Vec<(&'static str, &'static str)>,
    pub cookies: Vec<(&'static str, &'static str)>,
    pub parameters: Vec<(&'static str, &'static str)>,
    pub attributes: Vec<(&'static str, &'static str)>,
}

fn first<'a>(pairs: &[(&'static str, &'a str)], name: &str) -> Option<&'a str> {
    pairs.iter().find(|(n, _)| *n == name).map(|(_, v)| *v)
}

impl FieldsView for Request {
    fn header(&self, name: &str) -> Option<&[u8]> {
        first(&self.headers, name).map(str::as_bytes)
    }

    fn headers(&self, name: &str, each: &mut dyn FnMut(&[u8])) {
        self.header(name).into_iter().for_each(each);
    }

    fn header_names(&self, each: &mut dyn FnMut(&str)) {
        self.headers.iter().for_each(|(name, _)| each(name));
    }

    fn seen(&self) -> u64 {
        let cookie = self.cookies.first().map(|_| "cookie");
        let names = self.headers.iter().map(|(name, _)| *name).chain(cookie);
        names.fold(0, |seen, name| seen | name_bit(name))
    }
}

impl RequestView for Request {
    fn method(&self) -> &str {
        "GET"
    }
    fn path(&self) -> &str {
        "/"
    }
    fn scheme(&self) -> &str {
        "http"
    }
    fn authority(&self) -> &str {
        "www"
    }
    fn original_path(&self) -> &str {
        "/"
    }
    fn original_scheme(&self) -> &str {
        "http"
    }
    fn original_authority(&self) -> &str {
        "www"
    }
    fn cookie(&self, name: &str) -> Option<&[u8]> {
        first(&self.cookies, name).map(str::as_bytes)
    }
    fn cookies(&self, name: &str, each: &mut dyn FnMut(&[u8])) {
        self.cookie(name).into_iter().for_each(each);
    }
    fn query(&self, name: &str) -> Option<Cow<'_, str>> {
        (name == "page").then_some(Cow::Borrowed("1"))
    }
    fn path_parameter(&self, name: &str) -> Option<&str> {
        first(&self.parameters, name)
    }
    fn attribute(&self, name: &str) -> Option<Cow<'_, str>> {
        first(&self.attributes, name).map(Cow::Borrowed)
    }
    fn tried(&self) -> &[u32] {
        &[]
    }
}

/// A response with these headers.
#[derive(Debug, Default)]
pub(super) struct Response {
    pub headers: Vec<(&'static str, &'static str)>,
}

impl FieldsView for Response {
    fn header(&self, name: &str) -> Option<&[u8]> {
        first(&self.headers, name).map(str::as_bytes)
    }

    fn headers(&self, name: &str, each: &mut dyn FnMut(&[u8])) {
        self.header(name).into_iter().for_each(each);
    }

    fn header_names(&self, each: &mut dyn FnMut(&str)) {
        self.headers.iter().for_each(|(name, _)| each(name));
    }

    fn seen(&self) -> u64 {
        let names = self.headers.iter().map(|(name, _)| name_bit(name));
        names.fold(0, |seen, bit| seen | bit)
    }
}

impl ResponseView for Response {
    fn status(&self) -> u16 {
        200
    }
    fn member_id(&self) -> &str {
        "a"
    }
    fn member_route(&self) -> &str {
        "a"
    }
    fn moved(&self) -> bool {
        false
    }
}
