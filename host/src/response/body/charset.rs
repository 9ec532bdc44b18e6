//! Which character encodings may be rewritten byte by byte.

use encoding_rs::{BIG5, EUC_KR, Encoding, GB18030, GBK, SHIFT_JIS, X_USER_DEFINED};

/// How a document's bytes above 0x7F behave. Everything a rewriter looks for is
/// ASCII, so this is all it has to know.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(super) enum Charset {
    /// ASCII bytes always mean ASCII characters: UTF-8, ISO-8859-*, Windows-125*, KOI8, EUC-JP.
    #[default]
    Plain,
    /// A byte from 0x81 to 0xFE takes a second one with it, which may look like ASCII (a backslash above all).
    DoubleByte,
    /// As `DoubleByte`, but 0xA1 to 0xDF stand alone.
    ShiftJis,
}

impl Charset {
    /// From an encoding's label; `None` where ASCII bytes may mean something else, or nobody knows.
    pub(super) fn from_label(label: &str) -> Option<Self> {
        let encoding = Encoding::for_label_no_replacement(label.as_bytes())?;
        if !encoding.is_ascii_compatible() || encoding == X_USER_DEFINED {
            return None;
        }
        Some(if encoding == SHIFT_JIS {
            Self::ShiftJis
        } else if encoding == GBK || encoding == GB18030 || encoding == BIG5 || encoding == EUC_KR {
            Self::DoubleByte
        } else {
            Self::Plain
        })
    }

    /// Whether this byte and the next are one character.
    pub(super) fn is_lead(self, byte: u8) -> bool {
        match self {
            Self::Plain => false,
            Self::DoubleByte => (0x81..=0xfe).contains(&byte),
            Self::ShiftJis => matches!(byte, 0x81..=0x9f | 0xe0..=0xfc),
        }
    }
}

/// The `charset` parameter of a Content-Type's value, without quotes.
pub(super) fn parameter(content_type: &str) -> Option<&str> {
    content_type.split(';').skip(1).find_map(|parameter| {
        let (name, value) = parameter.split_once('=')?;
        name.trim()
            .eq_ignore_ascii_case("charset")
            .then(|| value.trim().trim_matches(['"', '\'']).trim())
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn labels_are_told_apart() {
        use Charset::*;
        let table: &[(&str, Option<Charset>)] = &[
            ("utf-8", Some(Plain)),
            ("UTF8", Some(Plain)),
            ("us-ascii", Some(Plain)),
            ("ISO-8859-1", Some(Plain)),
            ("iso-8859-15", Some(Plain)),
            ("windows-1251", Some(Plain)),
            ("koi8-r", Some(Plain)),
            ("euc-jp", Some(Plain)),
            ("euc-kr", Some(DoubleByte)),
            ("gb2312", Some(DoubleByte)),
            ("gbk", Some(DoubleByte)),
            ("gb18030", Some(DoubleByte)),
            ("big5", Some(DoubleByte)),
            ("Shift_JIS", Some(ShiftJis)),
            ("windows-31j", Some(ShiftJis)),
            ("utf-16", None),
            ("utf-16le", None),
            ("UTF-16BE", None),
            ("utf-32", None),
            ("utf-7", None),
            ("iso-2022-jp", None),
            ("iso-2022-kr", None),
            ("iso-2022-cn", None),
            ("hz-gb-2312", None),
            ("ibm037", None),
            ("replacement", None),
            ("", None),
            ("nonsense", None),
        ];
        for (label, expected) in table {
            assert_eq!(Charset::from_label(label), *expected, "{label}");
        }
    }

    #[test]
    fn parameter_is_found_in_every_spelling() {
        for value in [
            "text/html; charset=x",
            "text/html;CHARSET=\"x\"",
            "text/html; a=b; charset = 'x' ; c=d",
        ] {
            assert_eq!(parameter(value), Some("x"), "{value}");
        }
        assert_eq!(parameter("text/html"), None);
        assert_eq!(parameter("charset=x"), None);
    }
}
