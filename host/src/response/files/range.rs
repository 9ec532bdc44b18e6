//! `Range: bytes=…` (RFC 9110 section 14).

/// More than this is no client that wants parts, it is one that wants work done.
const MAX_RANGES: usize = 16;

/// A piece of a file.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Piece {
    /// Of its first byte.
    pub(super) offset: u64,
    /// Not 0.
    pub(super) length: u64,
}

/// What a `Range` field means for a file.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Selected {
    /// All of it: another unit, broken syntax, or too many ranges.
    Whole,
    /// These pieces, at least one, none of which overlap.
    Pieces(Vec<Piece>),
    /// No byte of it: 416.
    Nothing,
}

/// Reads `field` for a file of `size` bytes.
pub(super) fn select(field: &str, size: u64) -> Selected {
    let Some((unit, set)) = field.split_once('=') else {
        return Selected::Whole;
    };
    if !unit.eq_ignore_ascii_case("bytes") {
        return Selected::Whole;
    }
    let specs = set
        .split(',')
        .map(|spec| spec.trim_matches([' ', '\t']))
        .filter(|spec| !spec.is_empty());
    let mut pieces: Vec<Piece> = Vec::new();
    let mut count = 0;
    for spec in specs {
        count += 1;
        match piece(spec, size) {
            _ if count > MAX_RANGES => return Selected::Whole,
            Read::Broken | Read::Empty => return Selected::Whole,
            Read::Outside => {}
            Read::Piece(piece) => pieces.push(piece),
        }
    }
    match (count, pieces.is_empty()) {
        (0, _) => Selected::Whole,
        (_, true) => Selected::Nothing,
        _ => Selected::Pieces(disjoint(pieces)),
    }
}

enum Read {
    Piece(Piece),
    /// Beyond the end.
    Outside,
    /// The last bytes of an empty file: satisfiable, but no `Content-Range` can say so.
    Empty,
    Broken,
}

fn piece(spec: &str, size: u64) -> Read {
    let Some((first, last)) = spec.split_once('-') else {
        return Read::Broken;
    };
    let (first, last) = match (number(first), number(last)) {
        (Some(first), Some(last)) if first <= last => (first, last),
        (Some(first), None) if last.is_empty() => (first, u64::MAX),
        (None, Some(0)) if first.is_empty() => return Read::Outside,
        (None, Some(_)) if first.is_empty() && size == 0 => return Read::Empty,
        (None, Some(suffix)) if first.is_empty() => (size.saturating_sub(suffix), u64::MAX),
        _ => return Read::Broken,
    };
    if first >= size {
        return Read::Outside;
    }
    Read::Piece(Piece {
        offset: first,
        length: last.min(size - 1) - first + 1,
    })
}

/// Digits only; what does not fit is as good as the largest number.
fn number(text: &str) -> Option<u64> {
    let digits = || {
        text.bytes()
            .map(|byte| byte.is_ascii_digit().then(|| u64::from(byte - b'0')))
    };
    if text.is_empty() {
        return None;
    }
    digits().try_fold(0_u64, |sum, digit| {
        Some(sum.saturating_mul(10).saturating_add(digit?))
    })
}

/// In the client's order where no two overlap (RFC 9110 section 15.3.7.2); else sorted
/// and joined, so that no byte is sent twice.
fn disjoint(pieces: Vec<Piece>) -> Vec<Piece> {
    let mut sorted = pieces.clone();
    sorted.sort_unstable_by_key(|piece| piece.offset);
    let mut joined: Vec<Piece> = Vec::with_capacity(sorted.len());
    for piece in sorted {
        match joined.last_mut() {
            Some(last) if piece.offset < last.offset + last.length => {
                let end = (piece.offset + piece.length).max(last.offset + last.length);
                last.length = end - last.offset;
            }
            _ => joined.push(piece),
        }
    }
    if joined.len() == pieces.len() {
        pieces
    } else {
        joined
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn pieces(list: &[(u64, u64)]) -> Selected {
        Selected::Pieces(
            list.iter()
                .map(|&(offset, length)| Piece { offset, length })
                .collect(),
        )
    }

    #[test]
    fn ranges_select_pieces() {
        for (field, list) in [
            ("bytes=0-0", &[(0, 1)][..]),
            ("bytes=0-9", &[(0, 10)]),
            ("bytes=2-", &[(2, 8)]),
            ("bytes=-3", &[(7, 3)]),
            ("bytes=-99", &[(0, 10)]),
            ("bytes=5-99", &[(5, 5)]),
            ("bytes=5-99999999999999999999999999", &[(5, 5)]),
            ("BYTES=1-1", &[(1, 1)]),
            ("bytes=1-2, 4-5", &[(1, 2), (4, 2)]),
            ("bytes= 4-5 ,\t1-2,,", &[(4, 2), (1, 2)]),
            ("bytes=1-2,99-", &[(1, 2)]),
            ("bytes=0-4,3-6", &[(0, 7)]),
            ("bytes=8-9,0-4,3-6", &[(0, 7), (8, 2)]),
            ("bytes=0-9,1-2,4-5", &[(0, 10)]),
            ("bytes=0-0,1-1", &[(0, 1), (1, 1)]),
        ] {
            assert_eq!(select(field, 10), pieces(list), "{field}");
        }
        assert_eq!(
            select("bytes=0-18446744073709551615", u64::MAX),
            pieces(&[(0, u64::MAX)])
        );
    }

    #[test]
    fn what_is_no_range_selects_the_whole_file() {
        for field in [
            "",
            "bytes",
            "bytes=",
            "bytes=,",
            "bytes=-",
            "bytes=x-1",
            "bytes=1-x",
            "bytes=2-1",
            "bytes=1",
            "bytes=--1",
            "bytes=+1-2",
            "bytes=1-2-3",
            "bytes=1 -2",
            "lines=1-2",
            "bytes =1-2",
            "bytes=1-2,x",
        ] {
            assert_eq!(select(field, 10), Selected::Whole, "{field}");
        }
        let many = |count| {
            format!(
                "bytes={}",
                (0..count)
                    .map(|n| format!("{}-{},", n * 2, n * 2))
                    .collect::<String>()
            )
        };
        assert_eq!(select(&many(17), 100), Selected::Whole);
        assert!(matches!(select(&many(16), 100), Selected::Pieces(pieces) if pieces.len() == 16));
    }

    #[test]
    fn ranges_beyond_the_end_select_nothing() {
        for field in [
            "bytes=10-",
            "bytes=10-20",
            "bytes=99-",
            "bytes=-0",
            "bytes=10-,-0",
            "bytes=99999999999999999999-",
        ] {
            assert_eq!(select(field, 10), Selected::Nothing, "{field}");
        }
        assert_eq!(select("bytes=0-", 0), Selected::Nothing);
        assert_eq!(select("bytes=-5", 0), Selected::Whole);
    }
}
