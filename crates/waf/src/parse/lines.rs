//! Files to joined lines, as Apache reads them: comments go, a backslash at the end of a line joins
//! the next one.

use std::path::Path;
use std::sync::Arc;

use crate::parse::bounds::LINE_BYTES;
use crate::parse::fault::{Fault, Notice, Problem, Warning};
use crate::parse::place::Place;
use crate::parse::text::Text;

const BYTE_ORDER_MARK: &[u8] = b"\xef\xbb\xbf";

/// A reader of the joined lines of one file.
pub(crate) struct Lines<'a> {
    file: Arc<Path>,
    rest: &'a [u8],
    // The number of the line that `rest` begins with.
    line: u32,
}

impl<'a> Lines<'a> {
    pub(crate) fn new(file: Arc<Path>, bytes: &'a [u8]) -> Self {
        let rest = bytes.strip_prefix(BYTE_ORDER_MARK).unwrap_or(bytes);
        Self { file, rest, line: 1 }
    }

    /// The next line that is neither blank nor a comment.
    pub(crate) fn read(&mut self, warnings: &mut Vec<Warning>) -> Option<Result<Text, Fault>> {
        while !self.rest.is_empty() {
            if self.begins_with_comment() {
                self.skip_comment(warnings);
                continue;
            }
            match self.join() {
                Ok(text) if text.whole().trim().is_empty() => {}
                read => return Some(read),
            }
        }
        None
    }

    fn begins_with_comment(&self) -> bool {
        let first = self.rest.iter().find(|byte| !matches!(byte, b' ' | b'\t' | b'\r' | 0x0c));
        first == Some(&b'#')
    }

    // ModSecurity continues comments too; a rule that vanishes that way earns one warning.
    fn skip_comment(&mut self, warnings: &mut Vec<Warning>) {
        let mut ending = self.take_line().2;
        let mut warned = false;
        while ending == Ending::Continued && !self.rest.is_empty() {
            let (line, bytes, next) = self.take_line();
            let text = bytes.trim_ascii_start();
            if !warned && text.first().is_some_and(|first| *first != b'#') {
                warned = true;
                let column = column(bytes.len() - text.len());
                let place = Place { file: Arc::clone(&self.file), line, column };
                warnings.push(Warning { place, notice: Notice::Commented });
            }
            ending = next;
        }
    }

    fn join(&mut self) -> Result<Text, Fault> {
        let mut text = Text::new(Arc::clone(&self.file));
        let mut fault = None;
        loop {
            let (line, bytes, ending) = self.take_line();
            if text.len() + bytes.len() > LINE_BYTES {
                let problem =
                    Problem::TooMany { what: "bytes in one directive", limit: LINE_BYTES };
                fault.get_or_insert_with(|| self.fault(line, 0, problem));
            } else {
                for (at, byte) in bytes.iter().enumerate() {
                    text.push(*byte, line, column(at));
                }
            }
            if ending == Ending::Blanks {
                let problem = Problem::BlanksAfterBackslash;
                fault.get_or_insert_with(|| self.fault(line, bytes.len(), problem));
            }
            if ending == Ending::Plain || self.rest.is_empty() {
                break;
            }
        }
        fault.map_or(Ok(text), Err)
    }

    /// Takes one line: its number, its bytes without what ends it, and how it ends.
    fn take_line(&mut self) -> (u32, &'a [u8], Ending) {
        let number = self.line;
        let end = self.rest.iter().position(|byte| *byte == b'\n');
        let line = self.rest.get(..end.unwrap_or(self.rest.len())).unwrap_or_default();
        self.rest = end.and_then(|end| self.rest.get(end + 1..)).unwrap_or_default();
        self.line = self.line.saturating_add(1);
        let line = line.strip_suffix(b"\r").unwrap_or(line);
        if let Some(continued) = line.strip_suffix(b"\\") {
            return (number, continued, Ending::Continued);
        }
        match line.trim_ascii_end().strip_suffix(b"\\") {
            Some(continued) => (number, continued, Ending::Blanks),
            None => (number, line, Ending::Plain),
        }
    }

    fn fault(&self, line: u32, at: usize, problem: Problem) -> Fault {
        let place = Place { file: Arc::clone(&self.file), line, column: column(at) };
        Fault::new(place, problem)
    }
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Ending {
    Plain,
    Continued,
    /// A backslash, then blanks.
    Blanks,
}

fn column(at: usize) -> u32 {
    u32::try_from(at).unwrap_or(u32::MAX).saturating_add(1)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(file: &str, expected: &[&str]) -> Vec<String> {
        let mut lines = Lines::new(Arc::from(Path::new("f")), file.as_bytes());
        let mut warnings = Vec::new();
        let mut read = Vec::new();
        while let Some(line) = lines.read(&mut warnings) {
            read.push(match line {
                Ok(text) => String::from_utf8(text.whole().trim().bytes().to_vec()).unwrap(),
                Err(fault) => fault.to_string(),
            });
        }
        assert_eq!(read, expected, "{file}");
        warnings.iter().map(ToString::to_string).collect()
    }

    #[test]
    fn joins_continued_lines_and_drops_comments() {
        check("", &[]);
        check("a\n\n  b  \r\n", &["a", "b"]);
        check("a \\\n b\\\r\nc\nd", &["a  bc", "d"]);
        check("# a\n  # b\nc # d\n", &["c # d"]);
        check("\u{feff}a", &["a"]);
        check("a \\", &["a"]);
        check("\n\n#x\n\\\n\\\na", &["a"]);
    }

    #[test]
    fn a_comment_may_be_continued_and_says_so() {
        assert!(check("# a \\\n# b\nc", &["c"]).is_empty());
        let warnings = check("#SecRule A \\\n  \"b\"\nc", &["c"]);
        assert_eq!(
            warnings,
            ["f:2:3: this line belongs to the comment above, which ends in a backslash"]
        );
    }

    #[test]
    fn blanks_after_a_backslash_are_a_fault_of_the_whole_directive() {
        let fault =
            "f:1:3: blanks follow the backslash: delete them, else the line is not continued";
        check("a \\ \n b\nc", &[fault, "c"]);
    }

    #[test]
    fn a_directive_is_bounded() {
        let long = "a".repeat(LINE_BYTES + 1);
        check(&format!("{long}\nb"), &["f:1:1: more than 1048576 bytes in one directive", "b"]);
    }
}
