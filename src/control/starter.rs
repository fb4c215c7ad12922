//! Who started a daemon.

use std::io::{self, PipeWriter, Write};

/// Waits to hear whether the daemon serves; without a word, it failed.
pub(crate) struct Starter(PipeWriter);

impl Starter {
    pub(crate) fn new(pipe: PipeWriter) -> Starter {
        Starter(pipe)
    }

    /// Tells that the process serves.
    pub(super) fn serves(mut self) -> io::Result<()> {
        self.0.write_all(b".")
    }
}
