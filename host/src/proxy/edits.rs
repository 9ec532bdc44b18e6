//! Applies what policies want changed in a head, after checking it.

use super::forwarded::is_hop_by_hop;
use crate::{
    decision::Edit,
    http1::{Fields, is_legal_value, is_token},
};

/// Fields no policy may touch, beside the hop-by-hop ones: the gateway writes them itself.
const OWN: &[&str] = &["expect", "host"];

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

/// Applies all edits, or none where one of them is illegal.
pub fn apply(fields: &mut Fields, edits: &[Edit]) -> Result<(), IllegalEdit> {
    edits.iter().try_for_each(|edit| check(fields, edit))?;
    // Lines are numbered as they were before the first edit, so these go first, removals last.
    let mut removed = Vec::new();
    for edit in edits {
        match edit {
            Edit::ReplaceLine(name, index, value) => {
                let at = fields.positions(name)[*index as usize];
                fields.replace_at(at, value);
            }
            Edit::RemoveLine(name, index) => removed.push(fields.positions(name)[*index as usize]),
            _ => {}
        }
    }
    fields.remove_at(&removed);
    for edit in edits {
        match edit {
            Edit::Set(name, value) => fields.set(name, value),
            Edit::Append(name, value) => fields.push(name, value),
            Edit::Remove(name) => fields.remove(name),
            Edit::ReplaceLine(..) | Edit::RemoveLine(..) => {}
        }
    }
    Ok(())
}

fn check(fields: &Fields, edit: &Edit) -> Result<(), IllegalEdit> {
    let (name, value, line) = match edit {
        Edit::Set(name, value) | Edit::Append(name, value) => (name, Some(value), None),
        Edit::ReplaceLine(name, index, value) => (name, Some(value), Some(*index)),
        Edit::Remove(name) => (name, None, None),
        Edit::RemoveLine(name, index) => (name, None, Some(*index)),
    };
    if !is_token(name.as_bytes()) {
        return Err(IllegalEdit::Name(name.escape_debug().take(80).collect()));
    }
    let own = OWN.iter().any(|own| name.eq_ignore_ascii_case(own));
    if own || is_hop_by_hop(name) {
        return Err(IllegalEdit::Forbidden(name.clone()));
    }
    if value.is_some_and(|value| !is_legal_value(value)) {
        return Err(IllegalEdit::Value(name.clone()));
    }
    match line {
        Some(index) if fields.all(name).count() <= index as usize => {
            Err(IllegalEdit::NoSuchLine(name.clone(), index))
        }
        _ => Ok(()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn cookies() -> Fields {
        let mut fields = Fields::new();
        for (name, value) in [
            ("Set-Cookie", "a"),
            ("X", "x"),
            ("Set-Cookie", "b"),
            ("Set-Cookie", "c"),
        ] {
            fields.push(name, value.as_bytes());
        }
        fields
    }

    fn dump(fields: &Fields) -> String {
        fields
            .iter()
            .map(|line| format!("{}={};", line.name, String::from_utf8_lossy(line.value)))
            .collect()
    }

    #[test]
    fn lines_are_numbered_as_they_were_before_the_plan() {
        let mut fields = cookies();
        let edits = [
            Edit::RemoveLine("set-cookie".into(), 0),
            Edit::ReplaceLine("set-cookie".into(), 2, b"C".to_vec()),
            Edit::Set("x".into(), b"y".to_vec()),
            Edit::Append("set-cookie".into(), b"d".to_vec()),
        ];
        apply(&mut fields, &edits).unwrap();
        assert_eq!(dump(&fields), "X=y;Set-Cookie=b;Set-Cookie=C;set-cookie=d;");
    }

    #[test]
    fn an_illegal_edit_changes_nothing() {
        let set = |name: &str, value: &[u8]| Edit::Set(name.into(), value.to_vec());
        for (edit, fault) in [
            (
                set("content-length", b"1"),
                IllegalEdit::Forbidden("content-length".into()),
            ),
            (set("Host", b"a"), IllegalEdit::Forbidden("Host".into())),
            (set("a b", b"1"), IllegalEdit::Name("a b".into())),
            (set("a", b"1\r\nb: c"), IllegalEdit::Value("a".into())),
            (
                Edit::RemoveLine("set-cookie".into(), 3),
                IllegalEdit::NoSuchLine("set-cookie".into(), 3),
            ),
        ] {
            let mut fields = cookies();
            let before = dump(&fields);
            assert_eq!(apply(&mut fields, &[set("ok", b"1"), edit]), Err(fault));
            assert_eq!(dump(&fields), before);
        }
    }
}
