//! Names of segments: `<aa>/<seq>-<writer>.<queue>.<state>`, all numbers in hexadecimal. What a
//! segment is can be told from its name, and two writers never choose the same.

/// Which queue the records of a segment wait in.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(crate) enum Queue {
    /// New ones, on probation.
    Small,
    /// Those that were used while they were new.
    Main,
}

/// How far a file is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(crate) enum State {
    /// Not yet locked by who makes it.
    New,
    /// Appended to by whoever holds its lock.
    Open,
    /// Complete: nothing in it changes any more.
    Sealed,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(crate) struct Name {
    /// Rises with each new segment.
    pub(crate) seq: u64,
    /// Drawn at each start.
    pub(crate) writer: u64,
    pub(crate) queue: Queue,
}

impl Name {
    /// The folder, one of 256.
    pub(crate) fn folder(&self) -> String {
        format!("{:02x}", self.seq & 0xff)
    }

    /// From the folder of all segments on.
    pub(crate) fn path(&self, state: State) -> String {
        let queue = match self.queue {
            Queue::Small => "s",
            Queue::Main => "m",
        };
        let state = match state {
            State::New => "new",
            State::Open => "open",
            State::Sealed => "seg",
        };
        format!("{}/{:016x}-{:016x}.{queue}.{state}", self.folder(), self.seq, self.writer)
    }

    /// Of the name of a file without its folder.
    pub(crate) fn parse(file: &str) -> Option<(Self, State)> {
        let (numbers, kind) = file.split_once('.')?;
        let (seq, writer) = numbers.split_once('-')?;
        let (queue, state) = kind.split_once('.')?;
        let queue = match queue {
            "s" => Queue::Small,
            "m" => Queue::Main,
            _ => return None,
        };
        let state = match state {
            "new" => State::New,
            "open" => State::Open,
            "seg" => State::Sealed,
            _ => return None,
        };
        Some((Self { seq: number(seq)?, writer: number(writer)?, queue }, state))
    }
}

fn number(text: &str) -> Option<u64> {
    let plain = text.len() == 16 && text.bytes().all(|b| b.is_ascii_hexdigit());
    if plain { u64::from_str_radix(text, 16).ok() } else { None }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_is_read_as_it_was_written() {
        for queue in [Queue::Small, Queue::Main] {
            for state in [State::New, State::Open, State::Sealed] {
                let name = Name { seq: 0x1234_5678_9abc, writer: u64::MAX - 3, queue };
                let path = name.path(state);
                let (folder, file) = path.split_once('/').unwrap();
                assert_eq!(folder, "bc");
                assert_eq!(Name::parse(file), Some((name, state)));
            }
        }
    }

    #[test]
    fn other_files_are_no_segments() {
        for file in ["", "a", "0-0.s.seg", "00000000000000+1-0000000000000001.s.seg", "lost.found"]
        {
            assert_eq!(Name::parse(file), None, "{file}");
        }
        assert_eq!(Name::parse("0000000000000001-0000000000000001.x.seg"), None);
        assert_eq!(Name::parse("0000000000000001-0000000000000001.s.seg~"), None);
    }
}
