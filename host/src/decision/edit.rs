//! Which edits are legal, whatever head they are for.

use super::Edit;
use crate::http1::{is_hop_by_hop, is_legal_value, is_token};

/// Fields no policy may touch, beside the hop-by-hop ones: the gateway writes them itself.
const OWN: &[&str] = &["expect", "host"];

/// Letters of a bad name that are repeated in a message.
const SHOWN: usize = 80;

/// An edit that would break the message.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum IllegalEdit {
    /// Not a token.
    #[error("`{0}` is no field name")]
    Name(String),
    /// Frames the message, or concerns one connection only.
    #[error("the field `{0}` is the gateway's own")]
    Forbidden(String),
    /// CR, LF, NUL or another control.
    #[error("the value for `{0}` holds a control character")]
    Value(String),
    /// There is no such line.
    #[error("there is no line {1} of `{0}`")]
    NoSuchLine(String, u32),
}

impl Edit {
    /// The field's name.
    pub fn name(&self) -> &str {
        match self {
            Self::Set(name, _)
            | Self::Append(name, _)
            | Self::Remove(name)
            | Self::ReplaceLine(name, ..)
            | Self::RemoveLine(name, _) => name,
        }
    }

    /// Whether its name and value may stand in any head. Whether the line is there that it is
    /// about, only that head can tell.
    pub fn check(&self) -> Result<(), IllegalEdit> {
        let name = self.name();
        if !is_token(name.as_bytes()) {
            return Err(IllegalEdit::Name(name.escape_debug().take(SHOWN).collect()));
        }
        let own = OWN.iter().any(|own| name.eq_ignore_ascii_case(own));
        if own || is_hop_by_hop(name) {
            return Err(IllegalEdit::Forbidden(name.to_owned()));
        }
        let value = match self {
            Self::Set(_, value) | Self::Append(_, value) | Self::ReplaceLine(_, _, value) => value,
            Self::Remove(_) | Self::RemoveLine(..) => return Ok(()),
        };
        match is_legal_value(value) {
            true => Ok(()),
            false => Err(IllegalEdit::Value(name.to_owned())),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_and_values_are_checked_for_every_kind_of_edit() {
        let kinds = |name: &str, value: &[u8]| {
            let (name, value) = (name.to_owned(), value.to_vec());
            [
                Edit::Set(name.clone(), value.clone()),
                Edit::Append(name.clone(), value.clone()),
                Edit::ReplaceLine(name, 0, value),
            ]
        };
        for edit in kinds("x-ok", "gr\u{fc}n".as_bytes()) {
            assert_eq!(edit.check(), Ok(()));
        }
        for name in [
            "Transfer-Encoding",
            "content-length",
            "HOST",
            "expect",
            "te",
        ] {
            let removals = [Edit::Remove(name.into()), Edit::RemoveLine(name.into(), 0)];
            for edit in kinds(name, b"1").into_iter().chain(removals) {
                assert_eq!(edit.check(), Err(IllegalEdit::Forbidden(name.into())));
            }
        }
        for value in [&b"a\r\nb: c"[..], b"\0", b"a\nb", b"\x7f"] {
            for edit in kinds("x", value) {
                assert_eq!(edit.check(), Err(IllegalEdit::Value("x".into())));
            }
        }
        for name in ["", "a b", "a:b", "x\r\ny"] {
            let illegal = Edit::Remove(name.into()).check();
            assert!(matches!(illegal, Err(IllegalEdit::Name(_))), "{name:?}");
        }
        let long = Edit::Remove(" ".repeat(10_000)).check().unwrap_err();
        assert!(long.to_string().len() < 200);
    }
}
