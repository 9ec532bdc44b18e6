//! Steps one after another: a numbered heading each, a table of times at the end.

use std::{
    fmt::Write as _,
    process::Command,
    time::{Duration, Instant},
};

use anyhow::{Context, Result, bail};

type Work<'a> = Box<dyn FnOnce() -> Result<()> + 'a>;

/// Numbered steps, told first and run then, so that how many there are is known.
#[derive(Default)]
pub struct Steps<'a> {
    steps: Vec<(String, Work<'a>)>,
}

impl<'a> Steps<'a> {
    /// A command, run to its end, its output going where ours goes.
    pub fn command(&mut self, title: &str, mut command: Command) {
        self.step(title, move || {
            let repeat = spelled(&command);
            let status = command
                .status()
                .with_context(|| format!("cannot run `{repeat}`"))?;
            if !status.success() {
                bail!("to repeat this step alone: {repeat}");
            }
            Ok(())
        });
    }

    /// A step that is no command.
    pub fn step(&mut self, title: &str, work: impl FnOnce() -> Result<()> + 'a) {
        self.steps.push((title.to_owned(), Box::new(work)));
    }

    /// Runs all, or to the first failure. What took how long.
    pub fn run(self) -> Result<String> {
        let (total, started) = (self.steps.len(), Instant::now());
        let mut done = String::from("\n");
        for (number, (title, work)) in (1..).zip(self.steps) {
            println!(
                "\n== [{number}/{total}] {title} ({} so far)",
                short(started.elapsed())
            );
            let began = Instant::now();
            let result = work();
            let took = short(began.elapsed());
            result.with_context(|| {
                format!("FAILED in step {number} of {total}, {title}, after {took}")
            })?;
            let _ = writeln!(done, "  ok {took:>8}  {title}");
        }
        let took = short(started.elapsed());
        Ok(format!("{done}All {total} steps passed in {took}"))
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
        let mut steps = Steps::default();
        let mut command = Command::new("sh");
        command.args(["-c", "exit 3"]).env("WHAT", "it is");
        steps.command("Lints", command);
        steps.step("Later", || unreachable!("one before it failed"));
        let error = format!("{:#}", steps.run().unwrap_err());
        assert!(error.contains("step 1 of 2, Lints"), "{error}");
        assert!(
            error.ends_with("to repeat this step alone: WHAT='it is' sh -c 'exit 3'"),
            "{error}"
        );
    }

    #[test]
    fn the_summary_lists_what_was_done() {
        let mut steps = Steps::default();
        steps.command("Nothing", Command::new("true"));
        steps.step("Nor this", || Ok(()));
        let summary = steps.run().unwrap();
        assert!(
            summary.contains("  Nothing\n")
                && summary.contains("  Nor this\nAll 2 steps passed in "),
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
