//! Header values that hold URLs among other things.

/// Maps the target of a `Refresh` value (`5; url=http://…`, as HTML's meta refresh).
pub fn refresh(value: &[u8], map: impl FnOnce(&[u8]) -> Option<Vec<u8>>) -> Option<Vec<u8>> {
    let delay = value.iter().position(|b| b";,".contains(b))?;
    let rest = value.get(delay + 1..)?.trim_ascii_start();
    let (keyword, rest) = rest.split_at_checked(3)?;
    if !keyword.eq_ignore_ascii_case(b"url") {
        return None;
    }
    let rest = rest.trim_ascii_start().strip_prefix(b"=")?;
    let url = rest.trim_ascii();
    let url = match url {
        [b'"', inner @ .., b'"'] | [b'\'', inner @ .., b'\''] => inner,
        url => url,
    };
    replaced(value, &[(url, map(url)?)])
}

/// Maps the targets of a `Link` value (RFC 8288: `<target>; rel=next, <target>; …`).
pub fn link(value: &[u8], mut map: impl FnMut(&[u8]) -> Option<Vec<u8>>) -> Option<Vec<u8>> {
    let mut changes = Vec::new();
    let mut rest = value;
    loop {
        // A link begins the value or follows a comma.
        let start = rest.iter().position(|b| !b" \t,".contains(b));
        let Some((b'<', link)) = start.and_then(|start| rest.get(start..)?.split_first()) else {
            break;
        };
        let Some(end) = link.iter().position(|b| *b == b'>') else {
            break;
        };
        let (target, parameters) = link.split_at_checked(end)?;
        if let Some(new) = map(target) {
            changes.push((target, new));
        }
        rest = after_comma(parameters);
    }
    replaced(value, &changes)
}

/// What follows the next comma that stands in no quoted string.
fn after_comma(parameters: &[u8]) -> &[u8] {
    let mut quoted = false;
    let mut escaped = false;
    let comma = parameters.iter().position(|b| {
        match b {
            _ if escaped => escaped = false,
            b'\\' if quoted => escaped = true,
            b'"' => quoted = !quoted,
            b',' if !quoted => return true,
            _ => {}
        }
        false
    });
    comma
        .and_then(|comma| parameters.get(comma + 1..))
        .unwrap_or_default()
}

/// `value` with parts of it, in their order, replaced; `None` where there are none.
fn replaced(value: &[u8], changes: &[(&[u8], Vec<u8>)]) -> Option<Vec<u8>> {
    if changes.is_empty() {
        return None;
    }
    let mut edited = Vec::with_capacity(value.len() + 64);
    let mut done = 0;
    for (part, new) in changes {
        let at = part.as_ptr() as usize - value.as_ptr() as usize;
        edited.extend_from_slice(value.get(done..at)?);
        edited.extend_from_slice(new);
        done = at + part.len();
    }
    edited.extend_from_slice(value.get(done..)?);
    Some(edited)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn upper(url: &[u8]) -> Option<Vec<u8>> {
        url.starts_with(b"m").then(|| url.to_ascii_uppercase())
    }

    fn text(value: Option<Vec<u8>>) -> Option<String> {
        value.map(|value| String::from_utf8(value).unwrap())
    }

    #[test]
    fn the_target_of_a_refresh_is_found() {
        let cases = [
            ("5; url=m/x", Some("5; url=M/X")),
            ("0;URL = 'm/x'", Some("0;URL = 'M/X'")),
            ("0, url=\"m\" ", Some("0, url=\"M\" ")),
            ("5; url=x", None),
            ("5", None),
            ("5; ur", None),
            ("5; urlm", None),
        ];
        for (value, wanted) in cases {
            assert_eq!(
                text(refresh(value.as_bytes(), upper)).as_deref(),
                wanted,
                "{value}"
            );
        }
    }

    #[test]
    fn every_target_of_a_link_is_found_and_nothing_else() {
        let cases = [
            ("<m>; rel=next", Some("<M>; rel=next")),
            (
                "<x>; a=\"<m>, <m>\\\", <m>\", <m1>,<m2>",
                Some("<x>; a=\"<m>, <m>\\\", <m>\", <M1>,<M2>"),
            ),
            (" , <m>", Some(" , <M>")),
            ("<x>", None),
            ("<m", None),
            ("m", None),
            ("", None),
        ];
        for (value, wanted) in cases {
            assert_eq!(
                text(link(value.as_bytes(), upper)).as_deref(),
                wanted,
                "{value}"
            );
        }
    }
}
