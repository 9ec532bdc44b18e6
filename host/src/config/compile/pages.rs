//! Error pages of the operator's own.

use std::{collections::BTreeSet, io::Read, path::Path, sync::Arc};

use super::{
    super::{
        read::{Named, Node},
        units::parse_statuses,
    },
    context::Context,
};
use crate::{
    beneath,
    snapshot::{ErrorPage, StatusRange},
};

/// An error page is read into memory and sent whole; a larger one is hardly meant.
const LARGEST: u64 = 256 << 10;

/// The pages of a vhost, with disjoint statuses: "404" wins over "400-405", and that over "4xx".
pub fn pages(node: Option<&Node<Named<String>>>, context: &mut Context<'_>) -> Vec<ErrorPage> {
    let mut list: Vec<(StatusRange, &Node<String>)> = Vec::new();
    for (key, file) in node.into_iter().flat_map(|n| &n.value.0) {
        match parse_statuses(key).filter(|range| range.first >= 400) {
            Some(range) => list.push((range, file)),
            None => {
                let remedy = "write a status from 400 to 599 (\"404\"), a range (\"502-504\") or a class (\"5xx\")";
                context
                    .out
                    .error(&file.place, format!("{key:?} is no error status"), remedy);
            }
        }
    }
    list.sort_by_key(|(range, _)| range.last - range.first);
    let mut taken = BTreeSet::new();
    let mut pages = Vec::new();
    for (range, file) in list {
        let statuses: Vec<u16> = (range.first..=range.last)
            .filter(|status| taken.insert(*status))
            .collect();
        if statuses.is_empty() {
            context.out.error(
                &file.place,
                "every status of it has another page",
                "remove it",
            );
        }
        pages.extend(page(file, statuses, context));
    }
    pages
}

fn page(node: &Node<String>, statuses: Vec<u16>, context: &mut Context<'_>) -> Option<ErrorPage> {
    let path = context.path(node);
    context.files.push(path.clone());
    let body = match read(&path, context.beneath().as_deref()) {
        Ok(body) if body.len() as u64 <= LARGEST => body,
        Ok(_) => {
            let message = format!("{} is larger than 256 KiB", path.display());
            context.out.error(
                &node.place,
                message,
                "serve large files by a static route and link to them",
            );
            return None;
        }
        Err(error) => {
            let message = format!("{} cannot be read: {error}", path.display());
            context.out.error(
                &node.place,
                message,
                "correct the path (relative to this file) or its permissions",
            );
            return None;
        }
    };
    let content_type = content_type(&path, &body);
    Some(ErrorPage {
        statuses,
        path,
        content_type,
        body: Arc::from(body),
    })
}

fn read(path: &Path, beneath: Option<&Path>) -> std::io::Result<Vec<u8>> {
    let mut body = Vec::new();
    let file = beneath::regular(beneath, path)?;
    file.take(LARGEST + 1).read_to_end(&mut body)?;
    Ok(body)
}

fn content_type(path: &Path, body: &[u8]) -> String {
    let guess = mime_guess::from_path(path).first_or_octet_stream();
    let text = guess.type_() == "text" && guess.get_param("charset").is_none();
    if text && std::str::from_utf8(body).is_ok() {
        format!("{guess}; charset=utf-8")
    } else {
        guess.to_string()
    }
}
