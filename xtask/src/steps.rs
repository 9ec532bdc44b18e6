//! Steps one after another: a numbered heading each, a table of times at the end.

use std::{
    fmt::Write as _,
    process::Command,
    time::{Duration, Instant},
};

use anyhow::{Context, Result, bail};

/// A run of numbered steps that ends at the first failure.
#[derive(Debug)]
pub struct Steps {
    total: usize,
    started: Instant,
    done: Vec<(String, Duration)>,
}

impl Steps {
    /// None done yet.
    pub fn new(total: usize) -> Self {
        Self {
            total,
            started: Instant::now(),
            done: Vec::with_capacity(total),
        }
    }

    /// Runs a command to its end, its output going where ours goes.
    pub fn command(&mut self, title: &str, command: &mut Command) -> Result<()> {
        let repeat = spelled(command);
        self.step(title, || {
            let status = command
                .status()
                .with_context(|| format!("cannot run `{repeat}`"))?;
            if !status.success() {
                bail!("to repeat this step alone: {repeat}");
            }
            Ok(())
        })
    }

    /// Runs one step that is no command.
    pub fn step<T>(&mut self, title: &str, work: impl FnOnce() -> Result<T>) -> Result<T> {
        let number = self.done.len() + 1;
        println!(
            "\n== [{number}/{}] {title} ({} so far)",
            self.total,
            short(self.started.elapsed())
        );
        let started = Instant::now();
        let result = work();
        let took = started.elapsed();
        let value = result.with_context(|| {
            format!(
                "FAILED in step {number} of {}, {title}, after {}",
                self.total,
                short(took)
            )
        })?;
        self.done.push((title.to_owned(), took));
        Ok(value)
    }

    /// What took how long.
    pub fn summary(&self) -> String {
        let mut text = String::from("\n");
        for (title, took) in &self.done {
            let _ = writeln!(text, "  ok {:>8}  {title}", short(*took));
        }
        let _ = write!(
            text,
            "All {} steps passed in {}",
            self.done.len(),
            short(self.started.elapsed())
        );
        text
    }
}

/// `0.4 s`, `12 s`, `3 min 05 s`.
pub fn short(time: Duration) -> String {
    let seconds = time.as_secs();
    match seconds {
        0..10 => format!("{:.1} s", time.as_secs_f64()),
        10..60 => format!("{seconds} s"),
        _ => format!("{} min {:02} s", seconds / 60, seconds % 60),
    }
}

/// The command as one would type it.
fn spelled(command: &Command) -> String {
    let program = std::path::Path::new(command.get_program());
    let name = program.file_name().unwrap_or(command.get_program());
    let mut words = Vec::new();
    for (variable, value) in command.get_envs() {
        if let Some(value) = value {
            words.push(format!(
                "{}={}",
                variable.to_string_lossy(),
                quoted(&value.to_string_lossy())
            ));
        }
    }
    words.push(name.to_string_lossy().into_owned());
    words.extend(
        command
            .get_args()
            .map(|word| quoted(&word.to_string_lossy())),
    );
    words.join(" ")
}

fn quoted(word: &str) -> String {
    let plain = |byte: u8| byte.is_ascii_alphanumeric() || b"-_=./:,@%+".contains(&byte);
    if !word.is_empty() && word.bytes().all(plain) {
        word.to_owned()
    } else {
        format!("'{}'", word.replace('\'', r"'\''"))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_failing_step_ends_the_run_and_says_what_to_repeat() {
        let mut steps = Steps::new(2);
        let mut command = Command::new("sh");
        command.args(["-c", "exit 3"]).env("WHAT", "it is");
        let error = format!("{:#}", steps.command("Lints", &mut command).unwrap_err());
        assert!(error.contains("step 1 of 2, Lints"), "{error}");
        assert!(
            error.ends_with("to repeat this step alone: WHAT='it is' sh -c 'exit 3'"),
            "{error}"
        );
    }

    #[test]
    fn the_summary_lists_what_was_done() {
        let mut steps = Steps::new(1);
        steps.command("Nothing", &mut Command::new("true")).unwrap();
        let summary = steps.summary();
        assert!(
            summary.contains("Nothing") && summary.contains("All 1 steps passed"),
            "{summary}"
        );
    }

    #[test]
    fn times_are_short() {
        for (millis, text) in [(340, "0.3 s"), (12_900, "12 s"), (185_000, "3 min 05 s")] {
            assert_eq!(short(Duration::from_millis(millis)), text);
        }
    }
}
