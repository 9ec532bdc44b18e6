//! The import table, as ARCHITECTURE.md has it.

use std::collections::{BTreeMap, BTreeSet};

/// What each module may import.
#[derive(Debug)]
pub struct Table {
    rows: BTreeMap<String, Row>,
    /// Modules of the data plane, and what none of them ever imports.
    data_plane: BTreeSet<String>,
    never: BTreeSet<String>,
}

#[derive(Debug)]
struct Row {
    /// As the page has it, for messages.
    says: String,
    allowed: Allowed,
}

#[derive(Debug)]
enum Allowed {
    Only(BTreeSet<String>),
    AllBut(BTreeSet<String>),
}

impl Table {
    /// Reads the page. The error says which part of it is not understood.
    pub fn read(page: &str) -> Result<Self, String> {
        // Line ends within a sentence mean nothing.
        let prose = page.split_whitespace().collect::<Vec<_>>().join(" ");
        let data_plane = names(between(&prose, "The data plane (", ")")?);
        let never = names(&between(&prose, ") never imports ", ".")?.replace(" or ", ", "));

        let mut rows = BTreeMap::new();
        let table = page
            .lines()
            .skip_while(|line| !line.starts_with("| module |"))
            .skip(2);
        for line in table.take_while(|line| line.starts_with('|')) {
            let cells: Vec<_> = line.trim_matches('|').split(" | ").map(str::trim).collect();
            let [module, _, may] = cells[..] else {
                return Err(format!("three cells expected: {line}"));
            };
            let row = Row {
                says: may.to_owned(),
                allowed: allowed(may, &data_plane)?,
            };
            rows.insert(module_name(module), row);
        }
        if rows.is_empty() {
            return Err("there is no table that begins with `| module |`".to_owned());
        }
        let table = Self {
            rows,
            data_plane,
            never,
        };
        let unknown = table.mentioned().find(|name| !table.lists(name));
        if let Some(unknown) = unknown {
            return Err(format!("`{unknown}` is mentioned and has no row"));
        }
        Ok(table)
    }

    /// Whether the module has a row.
    pub fn lists(&self, module: &str) -> bool {
        self.rows.contains_key(module)
    }

    /// Why `from` may not import `to`; `None` where it may.
    pub fn offence(&self, from: &str, to: &str) -> Option<String> {
        if to.is_empty() {
            return Some(format!(
                "`{from}` imports the crate's root whole, which hides what it uses"
            ));
        }
        if !self.lists(to) {
            return Some(format!(
                "`{from}` imports `{to}`, which is no module that the table lists"
            ));
        }
        let Some(row) = self.rows.get(from) else {
            return Some(format!("the table has no row for `{from}`"));
        };
        if self.data_plane.contains(from) && self.never.contains(to) {
            return Some(format!(
                "`{from}` may not import `{to}` (the data plane never does)"
            ));
        }
        let allowed = match &row.allowed {
            Allowed::Only(names) => names.contains(to),
            Allowed::AllBut(names) => !names.contains(to),
        };
        (!allowed).then(|| {
            format!(
                "`{from}` may not import `{to}` (the table allows it {})",
                row.says
            )
        })
    }

    fn mentioned(&self) -> impl Iterator<Item = &String> {
        let in_rows = self.rows.values().flat_map(|row| match &row.allowed {
            Allowed::Only(names) | Allowed::AllBut(names) => names,
        });
        in_rows.chain(&self.data_plane).chain(&self.never)
    }
}

fn between<'a>(text: &'a str, before: &str, after: &str) -> Result<&'a str, String> {
    let missing = || format!("the sentence with `{before}…{after}` is missing");
    let start = text.find(before).ok_or_else(missing)? + before.len();
    let length = text[start..].find(after).ok_or_else(missing)?;
    Ok(&text[start..start + length])
}

fn names(list: &str) -> BTreeSet<String> {
    list.split(',')
        .map(module_name)
        .filter(|name| !name.is_empty())
        .collect()
}

/// `app` of `` `app.rs` ``, `wasm` of `` `wasm/` ``.
fn module_name(text: &str) -> String {
    let bare = text.trim().trim_matches('`');
    bare.trim_end_matches('/')
        .trim_end_matches(".rs")
        .to_owned()
}

fn allowed(cell: &str, data_plane: &BTreeSet<String>) -> Result<Allowed, String> {
    if cell == "everything" {
        return Ok(Allowed::AllBut(BTreeSet::new()));
    }
    if let Some(but) = cell.strip_prefix("everything but ") {
        return Ok(Allowed::AllBut(names(&but.replace(" and ", ", "))));
    }
    let mut only = BTreeSet::new();
    for term in cell.split(',').map(str::trim) {
        match term {
            "nothing of ours" => {}
            "everything in the data plane" => only.extend(data_plane.iter().cloned()),
            name if name.contains(' ') || name.is_empty() => {
                return Err(format!("`{name}` is not understood"));
            }
            name => {
                only.insert(module_name(name));
            }
        }
    }
    Ok(Allowed::Only(only))
}
