//! The parts of a request that the gateway parses for policies.

/// `name=value` pairs of one `Cookie` line (RFC 6265 section 5.4), blanks around
/// both removed; quotes belong to the value.
pub(super) fn cookies(line: &[u8]) -> impl Iterator<Item = (&[u8], &[u8])> {
    line.split(|b| *b == b';').filter_map(|pair| {
        let equals = pair.iter().position(|b| *b == b'=')?;
        let (name, value) = (&pair[..equals], &pair[equals + 1..]);
        Some((name.trim_ascii(), value.trim_ascii()))
    })
}

/// The first query parameter of that name, percent-decoded, `+` as a blank.
pub(super) fn query(path: &str, name: &str) -> Option<String> {
    let (_, query) = path.split_once('?')?;
    let mut pairs = query
        .split('&')
        .map(|pair| pair.split_once('=').unwrap_or((pair, "")));
    let (_, value) = pairs.find(|(key, _)| decode(key) == name)?;
    Some(decode(value))
}

/// The first `;name=value` parameter of any segment, as written.
pub(super) fn path_parameter(path: &str, name: &str) -> Option<String> {
    let path = path.split('?').next().unwrap_or_default();
    path.split('/')
        .flat_map(|segment| segment.split(';').skip(1))
        .filter_map(|parameter| parameter.split_once('='))
        .find(|(key, _)| *key == name)
        .map(|(_, value)| value.to_owned())
}

fn decode(text: &str) -> String {
    let mut bytes = Vec::with_capacity(text.len());
    let mut rest = text.as_bytes();
    while let [first, tail @ ..] = rest {
        rest = tail;
        match first {
            b'+' => bytes.push(b' '),
            b'%' => match hex(tail) {
                Some(byte) => {
                    bytes.push(byte);
                    rest = &tail[2..];
                }
                None => bytes.push(b'%'),
            },
            other => bytes.push(*other),
        }
    }
    String::from_utf8_lossy(&bytes).into_owned()
}

fn hex(digits: &[u8]) -> Option<u8> {
    let digits = std::str::from_utf8(digits.get(..2)?).ok()?;
    digits
        .bytes()
        .all(|b| b.is_ascii_hexdigit())
        .then(|| u8::from_str_radix(digits, 16).ok())?
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn cookies_are_split_at_semicolons_and_trimmed() {
        let found: Vec<_> = cookies(b"a=1; b = \"2\" ;c;d=").collect();
        let wanted: [(&[u8], &[u8]); 3] = [(b"a", b"1"), (b"b", b"\"2\""), (b"d", b"")];
        assert_eq!(found, wanted);
    }

    #[test]
    fn query_parameters_are_decoded_and_matched_whole() {
        let path = "/p?xa=0&a=1%2E2+3&a=4&b=%zz";
        assert_eq!(query(path, "a").as_deref(), Some("1.2 3"));
        assert_eq!(query(path, "b").as_deref(), Some("%zz"));
        assert_eq!(query(path, "x"), None);
        assert_eq!(query("/p", "a"), None);
    }

    #[test]
    fn path_parameters_end_at_the_next_delimiter() {
        let path = "/a;v=1;s=2.x/b?;s=3";
        assert_eq!(path_parameter(path, "s").as_deref(), Some("2.x"));
        assert_eq!(path_parameter(path, "a"), None);
        assert_eq!(path_parameter("/s=1", "s"), None);
    }
}
