//! What a guest prints, cut into lines for the log.

/// Bytes of a line; a longer one goes on in the next. As long as a message of the
/// contract's own `log`.
const LINE: usize = 2048;

/// Standard output and error of one instance, each with its unfinished line.
#[derive(Debug, Default)]
pub(in crate::wasm) struct Console {
    streams: [Vec<u8>; 2],
}

impl Console {
    /// Adds to a stream; `line` gets each line that this completes, without its end.
    pub(in crate::wasm) fn write<E>(
        &mut self,
        is_error: bool,
        bytes: &[u8],
        mut line: impl FnMut(&str) -> Result<(), E>,
    ) -> Result<(), E> {
        let begun = &mut self.streams[usize::from(is_error)];
        for piece in bytes.split_inclusive(|byte| *byte == b'\n') {
            for piece in piece.chunks(LINE) {
                let (text, ends) = match piece.strip_suffix(b"\n") {
                    Some(text) => (text, true),
                    None => (piece, false),
                };
                if begun.len() + text.len() > LINE {
                    emit(begun, &mut line)?;
                }
                begun.extend_from_slice(text);
                if ends {
                    emit(begun, &mut line)?;
                }
            }
        }
        Ok(())
    }

    /// Whether a line was begun.
    pub(in crate::wasm) fn is_empty(&self) -> bool {
        self.streams.iter().all(Vec::is_empty)
    }

    /// Ends the lines that were begun; `line` learns whether each is of standard error.
    pub(in crate::wasm) fn finish(&mut self, mut line: impl FnMut(bool, &str)) {
        for (begun, is_error) in self.streams.iter_mut().zip([false, true]) {
            if !begun.is_empty() {
                line(is_error, &String::from_utf8_lossy(begun));
                begun.clear();
            }
        }
    }
}

/// Nothing but blanks is no line: interpreters print a lot of it.
fn emit<E>(begun: &mut Vec<u8>, line: &mut impl FnMut(&str) -> Result<(), E>) -> Result<(), E> {
    let text = String::from_utf8_lossy(begun);
    let answer = match text.trim_end() {
        "" => Ok(()),
        text => line(text),
    };
    begun.clear();
    answer
}

#[cfg(test)]
mod tests {
    use super::*;

    fn lines(pieces: &[&str]) -> Vec<String> {
        let (mut console, mut out) = (Console::default(), Vec::new());
        for piece in pieces {
            let written: Result<(), ()> = console.write(false, piece.as_bytes(), |line| {
                out.push(line.to_owned());
                Ok(())
            });
            written.unwrap();
        }
        console.finish(|is_error, line| {
            assert!(!is_error);
            out.push(format!("{line} (unfinished)"));
        });
        assert!(console.is_empty());
        out
    }

    #[test]
    fn pieces_become_lines() {
        assert_eq!(lines(&["a", "b\nc\n\n \r\n"]), ["ab", "c"]);
        assert_eq!(lines(&["a\nb"]), ["a", "b (unfinished)"]);
        assert_eq!(lines(&["", "\n"]), Vec::<String>::new());
    }

    #[test]
    fn a_line_without_end_is_cut() {
        let all = lines(&[&"x".repeat(LINE * 2 + 5)]);
        let lengths: Vec<usize> = all
            .iter()
            .map(|line| line.find(' ').unwrap_or(line.len()))
            .collect();
        assert_eq!(lengths, [LINE, LINE, 5]);
        let all = lines(&["x", &"y".repeat(LINE)]);
        assert_eq!(all[0], "x");
    }

    #[test]
    fn a_refused_line_stops_the_writing() {
        let mut console = Console::default();
        let refused = console.write(true, b"a\nb\n", |_| Err("enough"));
        assert_eq!(refused, Err("enough"));
        assert!(console.is_empty());
    }
}
