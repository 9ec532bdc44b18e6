//! Views that own what they show, for calls that do not run where the exchange is.

use std::borrow::Cow;

use super::{
    ATTRIBUTES, FieldsView, RequestView, ResponseView,
    names::{cookies, path_parameter, query_parameter},
};

/// All lines of a head, by name.
#[derive(Debug, Default)]
struct Lines(Vec<(String, Vec<Vec<u8>>)>);

impl Lines {
    fn of(fields: &dyn FieldsView) -> Self {
        let mut lines = Vec::new();
        fields.header_names(&mut |name| {
            let mut values = Vec::new();
            fields.headers(name, &mut |value| values.push(value.to_vec()));
            lines.push((name.to_owned(), values));
        });
        Self(lines)
    }

    fn all(&self, name: &str) -> &[Vec<u8>] {
        let found = self.0.iter().find(|(other, _)| other == name);
        found.map_or(&[], |(_, values)| values)
    }
}

impl FieldsView for Lines {
    fn header(&self, name: &str) -> Option<&[u8]> {
        self.all(name).first().map(Vec::as_slice)
    }

    fn headers(&self, name: &str, each: &mut dyn FnMut(&[u8])) {
        self.all(name).iter().for_each(|value| each(value));
    }

    fn header_names(&self, each: &mut dyn FnMut(&str)) {
        self.0.iter().for_each(|(name, _)| each(name));
    }
}

/// What has lines shows them.
macro_rules! shows_its_lines {
    ($($captured:ty),*) => {
        $(impl FieldsView for $captured {
            fn header(&self, name: &str) -> Option<&[u8]> {
                self.lines.header(name)
            }

            fn headers(&self, name: &str, each: &mut dyn FnMut(&[u8])) {
                self.lines.headers(name, each);
            }

            fn header_names(&self, each: &mut dyn FnMut(&str)) {
                self.lines.header_names(each);
            }
        })*
    };
}

shows_its_lines!(CapturedRequest, CapturedResponse);

/// A request with all that policies can ask of it.
#[derive(Debug)]
pub struct CapturedRequest {
    lines: Lines,
    method: String,
    path: String,
    scheme: String,
    authority: String,
    original_path: String,
    original_scheme: String,
    original_authority: String,
    attributes: Vec<(&'static str, String)>,
    tried: Vec<u32>,
}

impl CapturedRequest {
    /// As it is now.
    pub fn of(request: &dyn RequestView) -> Self {
        let attribute = |name| Some((name, request.attribute(name)?.into_owned()));
        Self {
            lines: Lines::of(request),
            method: request.method().to_owned(),
            path: request.path().to_owned(),
            scheme: request.scheme().to_owned(),
            authority: request.authority().to_owned(),
            original_path: request.original_path().to_owned(),
            original_scheme: request.original_scheme().to_owned(),
            original_authority: request.original_authority().to_owned(),
            attributes: ATTRIBUTES.into_iter().filter_map(attribute).collect(),
            tried: request.tried().to_vec(),
        }
    }

    fn split(&self) -> (&str, Option<&str>) {
        match self.path.split_once('?') {
            Some((path, query)) => (path, Some(query)),
            None => (&self.path, None),
        }
    }

    fn pairs(&self) -> impl Iterator<Item = (&[u8], &[u8])> {
        self.lines
            .all("cookie")
            .iter()
            .flat_map(|line| cookies(line))
    }
}

impl RequestView for CapturedRequest {
    fn method(&self) -> &str {
        &self.method
    }

    fn path(&self) -> &str {
        &self.path
    }

    fn scheme(&self) -> &str {
        &self.scheme
    }

    fn authority(&self) -> &str {
        &self.authority
    }

    fn original_path(&self) -> &str {
        &self.original_path
    }

    fn original_scheme(&self) -> &str {
        &self.original_scheme
    }

    fn original_authority(&self) -> &str {
        &self.original_authority
    }

    fn cookie(&self, name: &str) -> Option<&[u8]> {
        let mut pairs = self.pairs();
        let found = pairs.find(|(found, _)| *found == name.as_bytes());
        found.map(|(_, value)| value)
    }

    fn cookies(&self, name: &str, each: &mut dyn FnMut(&[u8])) {
        let named = |(found, _): &(&[u8], &[u8])| *found == name.as_bytes();
        self.pairs()
            .filter(named)
            .for_each(|(_, value)| each(value));
    }

    fn query(&self, name: &str) -> Option<Cow<'_, str>> {
        query_parameter(self.split().1?, name)
    }

    fn path_parameter(&self, name: &str) -> Option<&str> {
        path_parameter(self.split().0, name)
    }

    fn attribute(&self, name: &str) -> Option<Cow<'_, str>> {
        let found = self.attributes.iter().find(|(other, _)| *other == name);
        found.map(|(_, value)| Cow::Borrowed(value.as_str()))
    }

    fn tried(&self) -> &[u32] {
        &self.tried
    }
}

/// A response with all that policies can ask of it.
#[derive(Debug)]
pub struct CapturedResponse {
    lines: Lines,
    status: u16,
    member_id: String,
    member_route: String,
    moved: bool,
}

impl CapturedResponse {
    /// As it is now.
    pub fn of(response: &dyn ResponseView) -> Self {
        Self {
            lines: Lines::of(response),
            status: response.status(),
            member_id: response.member_id().to_owned(),
            member_route: response.member_route().to_owned(),
            moved: response.moved(),
        }
    }
}

impl ResponseView for CapturedResponse {
    fn status(&self) -> u16 {
        self.status
    }

    fn member_id(&self) -> &str {
        &self.member_id
    }

    fn member_route(&self) -> &str {
        &self.member_route
    }

    fn moved(&self) -> bool {
        self.moved
    }
}
