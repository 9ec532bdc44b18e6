//! From the bytes of a request-target to its one reading, or to a refusal.
//!
//! Servers differ in when they cut off `;parameters`, whether they decode before or
//! after resolving dot segments, and how often. A path passes only where all those
//! orders agree about dot segments and empty segments; where they merely give
//! different names, the other readings are kept for the table to compare.

use super::{
    CanonicalPath, TargetError,
    decode::{self, is_pchar, is_unreserved, push_escaped},
};

/// One segment in both forms.
struct Segment {
    /// Name and parameters as they are sent on.
    forward: String,
    /// Decoded name; an encoded slash stays `%2F`.
    canonical: String,
    /// Holds an encoded slash, in its name or its parameters.
    has_slash: bool,
    /// Decoding it at another time, or twice, gives another name.
    is_odd: bool,
}

pub(super) fn target(target: &[u8]) -> Result<CanonicalPath, TargetError> {
    if target.contains(&b'#') {
        return Err(TargetError::Fragment);
    }
    if let Some(&byte) = target.iter().find(|&&byte| byte <= b' ' || byte == 0x7f) {
        return Err(TargetError::IllegalByte { byte });
    }
    let (path, query) = match target.iter().position(|&byte| byte == b'?') {
        Some(mark) => (&target[..mark], Some(&target[mark + 1..])),
        None => (target, None),
    };
    if path.first() != Some(&b'/') {
        return Err(TargetError::NotOriginForm);
    }
    if path.contains(&b'\\') {
        return Err(TargetError::IllegalByte { byte: b'\\' });
    }
    let mut read = if is_plain(path) {
        plain(path)
    } else {
        resolve(path)?
    };
    if let Some(query) = query {
        read.target.push('?');
        push_query(&mut read.target, query);
    }
    Ok(read)
}

/// Whether the path is its own canonical form: nothing encoded or to be encoded, no
/// parameters, no empty segment but a last one, and none that starts with a dot.
fn is_plain(path: &[u8]) -> bool {
    path.iter()
        .all(|&byte| byte == b'/' || is_pchar(byte) && byte != b';')
        && !path.windows(2).any(|pair| matches!(pair, b"//" | b"/."))
}

fn plain(path: &[u8]) -> CanonicalPath {
    let target: String = path.iter().map(|&byte| char::from(byte)).collect();
    CanonicalPath {
        path_len: target.len(),
        target,
        canonical: None,
        alternates: Vec::new(),
    }
}

fn resolve(path: &[u8]) -> Result<CanonicalPath, TargetError> {
    let mut segments: Vec<Segment> = Vec::new();
    let mut ends_in_slash = false;
    let mut rest = path[1..].split(|&byte| byte == b'/').peekable();
    while let Some(raw) = rest.next() {
        ends_in_slash = matches!(raw, b"" | b"." | b"..");
        match raw {
            b"" | b"." => {}
            b".." => {
                let left = segments.pop().ok_or(TargetError::AboveRoot)?;
                if left.has_slash {
                    return Err(TargetError::DotsAfterEncodedSlash);
                }
            }
            _ => segments.push(Segment::read(raw, rest.peek().is_none())?),
        }
    }
    let ends_in_slash = ends_in_slash && !segments.is_empty();
    let forward = join(
        segments.iter().map(|segment| segment.forward.as_str()),
        ends_in_slash,
    );
    let canonical = join(
        segments.iter().map(|segment| segment.canonical.as_str()),
        ends_in_slash,
    );
    let alternates = alternates(&segments, ends_in_slash, &canonical);
    let canonical = (canonical != forward).then_some(canonical);
    Ok(CanonicalPath {
        path_len: forward.len(),
        target: forward,
        canonical,
        alternates,
    })
}

impl Segment {
    fn read(raw: &[u8], is_last: bool) -> Result<Segment, TargetError> {
        let name_len = raw
            .iter()
            .position(|&byte| byte == b';')
            .unwrap_or(raw.len());
        let (name, parameters) = raw.split_at(name_len);
        let decoded = decode::once(raw)?;
        if let Some(&byte) = decoded
            .iter()
            .find(|&&byte| byte < b' ' || byte == 0x7f || byte == b'\\')
        {
            return Err(TargetError::EncodedByte { byte });
        }
        let text = String::from_utf8(decoded).map_err(|_| TargetError::NotUtf8)?;
        // `/app/;jsessionid=1` is what Tomcat makes of a link to `/app/`. It means one
        // thing only while nothing follows: `/;/admin` does not.
        let is_folder = name.is_empty() && is_last && !text.contains('/');
        for (at, piece) in text.split('/').enumerate() {
            if at > 0 || !is_folder {
                refuse_hidden(piece)?;
            }
        }
        let twice = decode::fully(raw);
        let decodes_again = twice != text.as_bytes();
        if decodes_again {
            refuse_double(&twice, &text, is_folder)?;
        }
        let mut segment = Segment {
            forward: String::with_capacity(raw.len()),
            canonical: String::with_capacity(name.len()),
            has_slash: text.contains('/'),
            is_odd: decodes_again || text.contains('/'),
        };
        segment.push_name(name)?;
        segment.is_odd |= segment.canonical.contains(';');
        for &byte in parameters {
            push_raw(&mut segment.forward, byte);
        }
        Ok(segment)
    }

    fn push_name(&mut self, name: &[u8]) -> Result<(), TargetError> {
        let mut canonical = Vec::with_capacity(name.len());
        let mut rest = name;
        while let Some((&first, tail)) = rest.split_first() {
            if first != b'%' {
                push_raw(&mut self.forward, first);
                canonical.push(first);
                rest = tail;
                continue;
            }
            let (byte, after) = decode::escape(tail).ok_or(TargetError::BrokenEscape)?;
            if is_unreserved(byte) {
                self.forward.push(char::from(byte));
            } else {
                self.forward
                    .extend(rest[..3].iter().map(|&byte| char::from(byte)));
            }
            match byte {
                b'/' => canonical.extend_from_slice(b"%2F"),
                _ => canonical.push(byte),
            }
            rest = after;
        }
        self.canonical = String::from_utf8(canonical).map_err(|_| TargetError::NotUtf8)?;
        Ok(())
    }
}

/// Refuses what is a dot segment or nothing once its parameters are cut off. `piece` is
/// decoded; a literal dot segment never comes here.
fn refuse_hidden(piece: &str) -> Result<(), TargetError> {
    match piece.split(';').next().unwrap_or_default() {
        "." | ".." => Err(TargetError::HiddenDots),
        "" => Err(TargetError::HiddenEmptySegment),
        _ => Ok(()),
    }
}

/// Refuses a segment in which a second decoding finds structure that the first did not.
fn refuse_double(twice: &[u8], once: &str, is_folder: bool) -> Result<(), TargetError> {
    let slashes = |bytes: &[u8]| bytes.iter().filter(|&&byte| byte == b'/').count();
    let is_bad = |&byte: &u8| byte < b' ' || byte == 0x7f || byte == b'\\';
    let hides = |piece: &[u8]| {
        matches!(
            piece.split(|&byte| byte == b';').next(),
            Some(b"" | b"." | b"..")
        )
    };
    let pieces = twice
        .split(|&byte| byte == b'/')
        .skip(usize::from(is_folder));
    if slashes(twice) != slashes(once.as_bytes())
        || twice.iter().any(is_bad)
        || decode::has_overlong(twice)
        || pieces.into_iter().any(hides)
    {
        return Err(TargetError::DoubleEncoding);
    }
    Ok(())
}

/// What servers make of the path that cut parameters off before or after decoding, or
/// decode twice, and take an encoded slash for a slash.
fn alternates(segments: &[Segment], ends_in_slash: bool, canonical: &str) -> Vec<String> {
    if !segments.iter().any(|segment| segment.is_odd) {
        return Vec::new();
    }
    let name = |segment: &Segment| segment.canonical.replace("%2F", "/");
    let whole =
        |segment: &Segment| lossy(decode::once(segment.forward.as_bytes()).unwrap_or_default());
    let twice = |segment: &Segment| lossy(decode::fully(segment.forward.as_bytes()));
    let readings: [&dyn Fn(&Segment) -> String; 5] = [
        &name,
        &|segment| cut_parameters(&name(segment)),
        &|segment| cut_parameters(&whole(segment)),
        &|segment| lossy(decode::fully(segment.canonical.as_bytes())),
        &|segment| cut_parameters(&twice(segment)),
    ];
    let mut out: Vec<String> = Vec::new();
    for reading in readings {
        let names: Vec<String> = segments.iter().map(reading).collect();
        let path = join(names.iter().map(String::as_str), ends_in_slash);
        if path != canonical && !out.contains(&path) {
            out.push(path);
        }
    }
    out
}

fn lossy(bytes: Vec<u8>) -> String {
    String::from_utf8(bytes)
        .unwrap_or_else(|error| String::from_utf8_lossy(error.as_bytes()).into_owned())
}

fn cut_parameters(segment: &str) -> String {
    let names: Vec<&str> = segment
        .split('/')
        .map(|piece| piece.split(';').next().unwrap_or_default())
        .collect();
    names.join("/")
}

fn join<'a>(segments: impl Iterator<Item = &'a str>, ends_in_slash: bool) -> String {
    let mut out = String::new();
    for segment in segments {
        out.push('/');
        out.push_str(segment);
    }
    if ends_in_slash || out.is_empty() {
        out.push('/');
    }
    out
}

fn push_raw(out: &mut String, byte: u8) {
    if is_pchar(byte) || byte == b'%' {
        out.push(char::from(byte));
    } else {
        push_escaped(out, byte);
    }
}

/// RFC 3986 section 3.4 allows `/` and `?` too. Escapes are nobody's business here.
fn push_query(out: &mut String, query: &[u8]) {
    for &byte in query {
        if matches!(byte, b'/' | b'?') {
            out.push(char::from(byte));
        } else {
            push_raw(out, byte);
        }
    }
}
