//! One `Set-Cookie` line, read as browsers do (RFC 6265 section 5.2): split at every
//! `;`, names case-insensitive, blanks trimmed, the last attribute of a name decides.

/// Edits `line`. `path` gives the new value of `Path`, `domain` that of `Domain`, both
/// `None` to leave it; an empty domain is taken away, and the cookie becomes the
/// front host's own. `None` where nothing changes.
pub fn edit(
    line: &[u8],
    path: impl FnOnce(&[u8]) -> Option<Vec<u8>>,
    domain: impl FnOnce(&[u8]) -> Option<Vec<u8>>,
) -> Option<Vec<u8>> {
    let parts: Vec<&[u8]> = line.split(|b| *b == b';').collect();
    let new_path = last(&parts, b"path").and_then(|(at, found)| Some((at, path(found.value)?)));
    let new_domain =
        last(&parts, b"domain").and_then(|(at, found)| Some((at, domain(found.value)?)));
    if new_path.is_none() && new_domain.is_none() {
        return None;
    }
    // Where the last domain goes, an earlier one, so far without effect, must not
    // come into force: all go.
    let drop_domains = matches!(&new_domain, Some((_, value)) if value.is_empty());
    let mut edited = Vec::with_capacity(line.len() + 32);
    for (index, part) in parts.iter().enumerate() {
        let dropped = drop_domains && attribute(part, b"domain").is_some();
        if index > 0 && dropped {
            continue;
        }
        if index > 0 {
            edited.push(b';');
        }
        let change = [
            (&new_path, b"path".as_slice()),
            (&new_domain, b"domain".as_slice()),
        ]
        .into_iter()
        .filter_map(|(new, name)| Some((new.as_ref()?, name)))
        .find(|((at, _), _)| *at == index);
        match change.and_then(|((_, new), name)| Some((attribute(part, name)?, new))) {
            Some((found, new)) => {
                edited.extend_from_slice(found.before);
                edited.extend_from_slice(new);
                edited.extend_from_slice(found.after);
            }
            None => edited.extend_from_slice(part),
        }
    }
    Some(edited)
}

/// An attribute's value, and the bytes around it: name, `=`, blanks and quotes.
struct Attribute<'a> {
    before: &'a [u8],
    value: &'a [u8],
    after: &'a [u8],
}

fn last<'a>(parts: &[&'a [u8]], name: &[u8]) -> Option<(usize, Attribute<'a>)> {
    let attributes = parts.iter().enumerate().skip(1);
    attributes
        .rev()
        .find_map(|(index, part)| Some((index, attribute(part, name)?)))
}

fn attribute<'a>(part: &'a [u8], name: &[u8]) -> Option<Attribute<'a>> {
    // Most are another one, which the first letter tells.
    let first = part.iter().find(|b| !b.is_ascii_whitespace())?;
    if !first.eq_ignore_ascii_case(name.first()?) {
        return None;
    }
    let equals = part.iter().position(|b| *b == b'=')?;
    if !part.get(..equals)?.trim_ascii().eq_ignore_ascii_case(name) {
        return None;
    }
    let after_equals = part.get(equals + 1..)?;
    let mut start = part.len() - after_equals.trim_ascii_start().len();
    let mut end = part.trim_ascii_end().len().max(start);
    if let [b'"', .., b'"'] = part.get(start..end)? {
        start += 1;
        end -= 1;
    }
    Some(Attribute {
        before: part.get(..start)?,
        value: part.get(start..end)?,
        after: part.get(end..)?,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn edited(line: &str) -> Option<String> {
        let path = |path: &[u8]| (path == b"/app").then(|| b"/".to_vec());
        let domain = |domain: &[u8]| match domain {
            b"member" => Some(Vec::new()),
            b"old" => Some(b"new".to_vec()),
            _ => None,
        };
        let edited = edit(line.as_bytes(), path, domain)?;
        Some(String::from_utf8(edited).unwrap())
    }

    #[test]
    fn only_the_value_of_the_deciding_attribute_changes() {
        let cases = [
            ("s=1; Path=/app; Secure", "s=1; Path=/; Secure"),
            ("s=1;PATH = \"/app\" ;x", "s=1;PATH = \"/\" ;x"),
            ("s=1; Path=/other; Path=/app", "s=1; Path=/other; Path=/"),
            ("s=1; Domain=member; Path=/app", "s=1; Path=/"),
            ("s=1; Domain=a; Domain=member; Secure", "s=1; Secure"),
            ("s=1; Domain=old; Path=/x", "s=1; Domain=new; Path=/x"),
            ("path=/app; Path=/app", "path=/app; Path=/"),
            ("domain=member; Domain=member", "domain=member"),
        ];
        for (line, wanted) in cases {
            assert_eq!(edited(line).as_deref(), Some(wanted), "{line}");
        }
    }

    #[test]
    fn everything_else_is_left_alone() {
        let lines = [
            "",
            "s",
            "path=/app",
            "s=1; Path",
            "s=1; Path=",
            "s=1; Path=\"",
            "s=1; Path=/app; Path=/other",
            "s=1; xPath=/app",
        ];
        for line in lines {
            assert_eq!(edited(line), None, "{line}");
        }
    }
}
