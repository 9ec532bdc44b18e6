//! Both fronts side by side, as Markdown.

use std::fmt::Write as _;

use serde_json::Value;

use super::goals::Judgement;

/// The page that is kept.
pub fn page(ours: &Value, baseline: &Value, goals: &[Judgement]) -> String {
    let mut page = format!(
        "# Before a Tomcat cluster: {} and {}\n\n{} round(s) of each check that kills under load, {} s in all.\n\n",
        word(&ours["label"]),
        word(&baseline["label"]),
        ours["rounds"],
        ours["seconds"],
    );
    page.push_str(
        "| check | what | Switchyard | | httpd | |\n| --- | --- | --- | --- | --- | --- |\n",
    );
    if let Some(checks) = ours["checks"].as_object() {
        for (name, check) in checks {
            let other = &baseline["checks"][name];
            let cells = [
                &check["title"],
                &check["verdict"],
                &check["text"],
                &other["verdict"],
                &other["text"],
            ];
            let cells: Vec<_> = cells.into_iter().map(word).collect();
            let _ = writeln!(page, "| {name} | {} |", cells.join(" | "));
        }
    }
    page.push('\n');
    page.push_str(&self::goals(goals));
    page
}

/// The promises, one a line.
pub fn goals(goals: &[Judgement]) -> String {
    let mut text = String::from(
        "| goal | measure | at most | measured | |\n| --- | --- | --- | --- | --- |\n",
    );
    for goal in goals {
        let measured = goal
            .measured
            .map_or_else(|| "-".to_owned(), |value| value.to_string());
        let verdict = match goal.held {
            Some(true) => "held",
            Some(false) => "MISSED",
            None => "not run",
        };
        let _ = writeln!(
            text,
            "| {} | {} | {} | {measured} | {verdict} |",
            goal.says, goal.of, goal.most
        );
    }
    text
}

/// Text that cannot end a table's cell.
fn word(value: &Value) -> String {
    let text = value.as_str().unwrap_or("-");
    text.replace('|', "\\|").replace(['\n', '\r'], " ")
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn both_fronts_stand_in_one_row() {
        let check = |verdict: &str, text: &str| json!({"checks": {"d2": {"title": "kill", "verdict": verdict, "text": text}}});
        let page = page(&check("PASS", "failures 0"), &check("PASS", "a|b"), &[]);
        assert!(
            page.contains("| d2 | kill | PASS | failures 0 | PASS | a\\|b |"),
            "{page}"
        );
    }

    #[test]
    fn a_check_that_the_baseline_lacks_is_shown_all_the_same() {
        let ours = json!({"checks": {"z": {"title": "new", "verdict": "FAIL", "text": "no"}}});
        assert!(page(&ours, &json!({}), &[]).contains("| z | new | FAIL | no | - | - |"));
    }

    #[test]
    fn a_missed_goal_stands_out() {
        let goal = Judgement {
            of: "d2.failures".into(),
            says: "none",
            most: 0.0,
            measured: Some(3.0),
            held: Some(false),
        };
        assert!(goals(&[goal]).contains("| none | d2.failures | 0 | 3 | MISSED |"));
    }
}
