//! How the demo looks: colours on a terminal, the same words without them elsewhere.

use std::{
    env,
    io::{self, IsTerminal, Write},
};

/// Where the demo is shown.
#[derive(Debug, Clone, Copy)]
pub struct Screen {
    has_colours: bool,
    is_live: bool,
}

impl Screen {
    /// Standard output.
    pub fn new() -> Self {
        let is_live = io::stdout().is_terminal();
        // https://no-color.org
        Self {
            has_colours: is_live && env::var_os("NO_COLOR").is_none(),
            is_live,
        }
    }

    /// Begins a scene.
    pub fn title(self, text: &str) {
        println!("\n{}", self.painted("1", text));
    }

    /// Says something.
    pub fn line(self, text: &str) {
        println!("    {text}");
    }

    /// Shows whether something held.
    pub fn verdict(self, held: bool, text: &str) {
        let (code, mark) = if held { ("32", "ok") } else { ("31", "NOT SO") };
        println!("  {} {text}", self.painted(code, mark));
    }

    /// Shows shares as bars.
    pub fn bars(self, counts: &[(String, u64)]) {
        // 40 columns: the line fits a terminal of 80 with its name and number.
        let most = counts
            .iter()
            .map(|(_, count)| *count)
            .max()
            .unwrap_or(0)
            .max(1);
        for (name, count) in counts {
            let length = usize::try_from(count * 40 / most).unwrap_or(0);
            println!(
                "    {name:<9} {count:>6}  {}",
                self.painted("36", &"#".repeat(length))
            );
        }
    }

    /// A line that the next one replaces; where nothing can be replaced, a line.
    pub fn status(self, text: &str) {
        if self.is_live {
            print!("\r\x1b[K  {text}");
            let _ = io::stdout().flush();
        } else {
            println!("  {text}");
        }
    }

    fn painted(self, code: &str, text: &str) -> String {
        if self.has_colours {
            format!("\x1b[{code}m{text}\x1b[0m")
        } else {
            text.to_owned()
        }
    }
}
