use memchr::memmem;

use super::XmlError;

/// A place in a document.
pub(super) struct Cursor<'a> {
    rest: &'a [u8],
}

impl<'a> Cursor<'a> {
    pub(super) fn new(text: &'a [u8]) -> Self {
        Self { rest: text }
    }

    pub(super) fn rest(&self) -> &'a [u8] {
        self.rest
    }

    pub(super) fn is_at_end(&self) -> bool {
        self.rest.is_empty()
    }

    pub(super) fn peek(&self) -> Option<u8> {
        self.rest.first().copied()
    }

    pub(super) fn next(&mut self) -> Option<u8> {
        let (first, rest) = self.rest.split_first()?;
        self.rest = rest;
        Some(*first)
    }

    /// The next `length` bytes, or what is left.
    pub(super) fn take(&mut self, length: usize) -> &'a [u8] {
        let (taken, rest) = self.rest.split_at(length.min(self.rest.len()));
        self.rest = rest;
        taken
    }

    pub(super) fn take_all(&mut self) -> &'a [u8] {
        std::mem::take(&mut self.rest)
    }

    /// Goes over `text` if it is next.
    pub(super) fn skip(&mut self, text: &[u8]) -> bool {
        match self.rest.strip_prefix(text) {
            Some(rest) => {
                self.rest = rest;
                true
            }
            None => false,
        }
    }

    /// Goes over `text`, which must be next.
    pub(super) fn skip_or(&mut self, text: &[u8], fault: XmlError) -> Result<(), XmlError> {
        match self.skip(text) {
            true => Ok(()),
            false if text.starts_with(self.rest) => Err(XmlError::Cut),
            false => Err(fault),
        }
    }

    /// Goes over white space, and tells whether there is any.
    pub(super) fn skip_space(&mut self) -> bool {
        let space = self.rest.iter().position(|byte| !is_space(*byte));
        !self.take(space.unwrap_or(self.rest.len())).is_empty()
    }

    /// What stands before `mark`, over which it goes too.
    pub(super) fn until(&mut self, mark: &[u8]) -> Option<&'a [u8]> {
        let at = memmem::find(self.rest, mark)?;
        let found = self.take(at);
        self.take(mark.len());
        Some(found)
    }

    /// A name; of characters outside of ASCII any is taken.
    pub(super) fn name(&mut self) -> Result<&'a [u8], XmlError> {
        match self.peek().ok_or(XmlError::Cut)? {
            b'a'..=b'z' | b'A'..=b'Z' | b'_' | b':' | 0x80.. => {}
            _ => return Err(XmlError::Name),
        }
        let end = self.rest.iter().position(|byte| {
            !(byte.is_ascii_alphanumeric() || matches!(byte, b'_' | b':' | b'-' | b'.' | 0x80..))
        });
        Ok(self.take(end.unwrap_or(self.rest.len())))
    }
}

pub(super) fn is_space(byte: u8) -> bool {
    matches!(byte, b' ' | b'\t' | b'\n' | b'\r')
}
