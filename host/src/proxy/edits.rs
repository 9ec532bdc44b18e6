//! Applies what policies want changed in a head, after checking it.

use smallvec::SmallVec;

use crate::{
    decision::{Edit, IllegalEdit},
    http1::Fields,
};

/// Applies all edits, or none where one of them is illegal.
pub fn apply(fields: &mut Fields, edits: &[Edit]) -> Result<(), IllegalEdit> {
    let checked = edits.iter().map(|edit| checked(fields, edit));
    let positions: SmallVec<[_; 4]> = checked.collect::<Result<_, _>>()?;
    // Lines are numbered as they were before the first edit, so these go first, removals last.
    let mut removed = Vec::new();
    for (edit, position) in edits.iter().zip(positions) {
        match (edit, position) {
            (Edit::ReplaceLine(.., value), Some(at)) => fields.replace_at(at, value),
            (Edit::RemoveLine(..), at) => removed.extend(at),
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

/// Where the line stands that a legal edit is about, if it is about one.
fn checked(fields: &Fields, edit: &Edit) -> Result<Option<usize>, IllegalEdit> {
    edit.check()?;
    let (Edit::ReplaceLine(name, index, _) | Edit::RemoveLine(name, index)) = edit else {
        return Ok(None);
    };
    match fields.position(name, *index as usize) {
        Some(at) => Ok(Some(at)),
        None => Err(IllegalEdit::NoSuchLine(name.clone(), *index)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn cookies() -> Fields {
        let lines = [
            ("Set-Cookie", "a"),
            ("X", "x"),
            ("Set-Cookie", "b"),
            ("Set-Cookie", "c"),
        ];
        lines.into_iter().collect()
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
        assert_eq!(fields.told(), "X=y;Set-Cookie=b;Set-Cookie=C;set-cookie=d;");
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
            let before = fields.told();
            assert_eq!(apply(&mut fields, &[set("ok", b"1"), edit]), Err(fault));
            assert_eq!(fields.told(), before);
        }
    }
}
