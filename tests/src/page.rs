//! Pages of the documentation that are followed by a test: what their fences show.
//!
//! In a `console` fence a line that begins with `$ ` is a command, the lines below it are what it
//! prints. `…` stands for anything within a line; alone, for any lines.

/// A page's text.
#[derive(Debug, Clone, Copy)]
pub struct Page<'a>(&'a str);

/// A command, and the lines that it prints.
#[derive(Debug)]
pub struct Shown<'a> {
    /// As a shell takes it.
    pub command: &'a str,
    /// What the page says it prints.
    pub lines: Vec<&'a str>,
}

/// What stands between two fences.
#[derive(Debug)]
pub struct Fence<'a> {
    /// `toml`, `console` or what else.
    pub language: &'a str,
    /// Without the fences.
    pub text: &'a str,
}

impl<'a> Page<'a> {
    /// Of a page, as it is written.
    pub const fn new(text: &'a str) -> Self {
        Self(text)
    }

    /// All its fences, in order.
    pub fn fences(&self) -> Vec<Fence<'a>> {
        let between = self.0.split("```").skip(1).step_by(2);
        let fence = |between: &'a str| {
            let (language, text) = between.split_once('\n')?;
            let text = text.strip_suffix('\n').unwrap_or(text);
            Some(Fence { language, text })
        };
        between.filter_map(fence).collect()
    }

    /// What stands in its fences of that language, in order.
    pub fn blocks(&self, language: &str) -> Vec<&'a str> {
        let mut fences = self.fences();
        fences.retain(|fence| fence.language == language);
        fences.iter().map(|fence| fence.text).collect()
    }

    /// Its commands, in order.
    pub fn commands(&self) -> Vec<Shown<'a>> {
        self.blocks("console")
            .into_iter()
            .flat_map(commands)
            .collect()
    }
}

/// The commands of a `console` fence.
///
/// # Panics
/// Where it shows output in front of any command.
pub fn commands(console: &str) -> Vec<Shown<'_>> {
    let mut all: Vec<Shown<'_>> = Vec::new();
    for line in console.lines() {
        match (line.strip_prefix("$ "), all.last_mut()) {
            (Some(command), _) => all.push(Shown {
                command,
                lines: Vec::new(),
            }),
            (None, Some(last)) => last.lines.push(line),
            (None, None) => panic!("output without a command: {line}"),
        }
    }
    all
}

/// Whether `found` is what is shown.
pub fn is_shown(shown: &[&str], found: &[&str]) -> bool {
    match shown {
        [] => found.is_empty(),
        ["…", rest @ ..] => (0..=found.len()).any(|skip| is_shown(rest, &found[skip..])),
        [first, rest @ ..] => match found {
            [line, more @ ..] => fits(first, line) && is_shown(rest, more),
            [] => false,
        },
    }
}

fn fits(shown: &str, line: &str) -> bool {
    match shown.split_once('…') {
        None => shown == line,
        Some((head, rest)) => line.strip_prefix(head).is_some_and(|left| {
            let ends = left.char_indices().map(|(at, _)| at);
            ends.chain([left.len()]).any(|at| fits(rest, &left[at..]))
        }),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_shown_may_leave_things_out() {
        for (shown, line, due) in [
            ("a … c", "a b c", true),
            ("a … c", "a b d", false),
            ("…/x: … bytes", "/tmp/x: 5 bytes", true),
            ("a … b … c", "a x b b y c", true),
            ("a…", "abc", true),
            ("abc", "abc", true),
            ("abc", "abcd", false),
            ("…b", "abc", false),
        ] {
            assert_eq!(fits(shown, line), due, "{shown} {line}");
        }
        assert!(is_shown(&["a", "…", "z"], &["a", "b", "c", "z"]));
        assert!(!is_shown(&["a", "…", "z"], &["a", "b"]));
        assert!(!is_shown(&["a"], &["a", "b"]));
    }

    #[test]
    fn commands_are_told_from_what_they_print() {
        let page =
            Page::new("Do\n```console\n$ one\nsays\nmore\n$ two\n```\n```toml\na = 1\n```\n");
        let commands = page.commands();
        assert_eq!(commands.len(), 2);
        assert_eq!(
            (commands[0].command, &commands[0].lines[..]),
            ("one", &["says", "more"][..])
        );
        assert!(commands[1].lines.is_empty());
        assert_eq!(page.blocks("toml"), ["a = 1"]);
    }
}
