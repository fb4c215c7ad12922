//! One part: its headers, then its contents.

use memchr::{memchr, memmem};

use super::{Disposition, DispositionError, Field, File, Flags, Form, MultipartError, PartHeaders};
use crate::body::Limits;
use crate::body::cookies::{is_space, trim_start};

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) enum Place {
    #[default]
    Headers,
    Contents,
}

#[derive(Debug, Clone, Default)]
pub(super) struct Part {
    pub(super) place: Place,
    /// Its contents have begun.
    pub(super) has_data: bool,
    headers: Vec<Header>,
    disposition: Disposition,
    /// Of a field.
    value: Vec<u8>,
    /// Of a file.
    bytes: u64,
    /// The last line end, which belongs to the contents unless a boundary follows.
    line_end: &'static [u8],
}

#[derive(Debug, Clone)]
struct Header {
    name: Vec<u8>,
    value: Vec<u8>,
    line: Vec<u8>,
}

impl Part {
    /// `line` has its line end.
    pub(super) fn add_header_line(
        &mut self,
        line: &[u8],
        limits: &Limits,
        flags: &mut Flags,
    ) -> Result<(), MultipartError> {
        if memchr(0, line).is_some() {
            return Err(MultipartError::NulInHeader);
        }
        let (text, line_end) = split_line_end(line);
        match line_end {
            b"\r\n" => flags.crlf_line = true,
            _ => flags.lf_line = true,
        }
        if text.is_empty() {
            return self.end_headers(flags);
        }
        if is_space(line[0]) {
            return self.fold(line, limits, flags);
        }
        self.add_header(text, limits)
    }

    /// Tells how many bytes of `segment` are a file's.
    pub(super) fn add_contents(
        &mut self,
        segment: &[u8],
        limits: &Limits,
    ) -> Result<u64, MultipartError> {
        self.has_data = true;
        let (text, line_end) = split_line_end(segment);
        let before = std::mem::replace(&mut self.line_end, line_end);
        if self.is_file() {
            self.bytes += (before.len() + text.len()) as u64;
            return Ok(segment.len() as u64);
        }
        for piece in [before, text] {
            let room = limits.value_bytes - self.value.len();
            if piece.len() > room {
                self.value.extend_from_slice(&piece[..room]);
                return Err(MultipartError::ValueTooLong);
            }
            self.value.extend_from_slice(piece);
        }
        Ok(0)
    }

    /// Adds what was read of it to `form`.
    pub(super) fn close(self, form: &mut Form, limits: &Limits) -> Result<(), MultipartError> {
        let Disposition { name, filename, extended } = self.disposition;
        let lines = self.headers.into_iter().map(|header| header.line).collect();
        form.headers.push(PartHeaders { name: name.clone().unwrap_or_default(), lines });
        match (name, filename) {
            (Some(name), Some(filename)) => {
                form.flags.file_limit_exceeded |= form.files.len() >= limits.files;
                let bytes = self.bytes + self.value.len() as u64;
                form.files.push(File { name: name.clone(), filename, extended, bytes });
                if !self.value.is_empty() {
                    add_field(form, Field { name, value: self.value }, limits)?;
                }
            }
            (Some(name), None) => add_field(form, Field { name, value: self.value }, limits)?,
            (None, _) => form.flags.invalid_part = true,
        }
        Ok(())
    }

    pub(super) fn is_in_file(&self) -> bool {
        self.place == Place::Contents && self.is_file()
    }

    /// Whether it is one to every server: without a name some take it for a field (Go).
    fn is_file(&self) -> bool {
        self.disposition.filename.as_ref().is_some_and(|name| !name.is_empty())
    }

    fn end_headers(&mut self, flags: &mut Flags) -> Result<(), MultipartError> {
        let header = self.find(b"content-disposition").ok_or(MultipartError::NoDisposition)?;
        let disposition = Disposition::parse(&header.value, flags)?;
        if disposition.name.is_none() {
            return Err(DispositionError::NoName.into());
        }
        // Crude parsers look for just this; they must see the file that is seen here.
        if disposition.filename.is_some() && memmem::find(&header.value, b"filename=").is_none() {
            return Err(DispositionError::HiddenFilename.into());
        }
        self.disposition = disposition;
        self.place = Place::Contents;
        Ok(())
    }

    fn fold(
        &mut self,
        line: &[u8],
        limits: &Limits,
        flags: &mut Flags,
    ) -> Result<(), MultipartError> {
        flags.header_folding = true;
        let text = trim_start(line);
        let indent = &line[..line.len() - text.len()];
        flags.invalid_header_folding |= indent.iter().any(|byte| !matches!(byte, b' ' | b'\t'));
        let header = self.headers.last_mut().ok_or(MultipartError::NothingToFold)?;
        let (text, _) = split_line_end(text);
        for folded in [&mut header.value, &mut header.line] {
            folded.push(b' ');
            folded.extend_from_slice(text);
        }
        if header.line.len() > limits.header_bytes {
            return Err(MultipartError::HeaderTooLong);
        }
        Ok(())
    }

    fn add_header(&mut self, line: &[u8], limits: &Limits) -> Result<(), MultipartError> {
        let colon = memchr(b':', line).ok_or(MultipartError::NoColon)?;
        let (name, value) = (&line[..colon], &line[colon + 1..]);
        if name.is_empty() {
            return Err(MultipartError::NoHeaderName);
        }
        if self.headers.len() >= limits.part_headers {
            return Err(MultipartError::TooManyHeaders);
        }
        let fault = if line.len() > limits.header_bytes {
            Some(MultipartError::HeaderTooLong)
        } else if !name.iter().all(u8::is_ascii_graphic) {
            Some(MultipartError::InvalidHeaderName)
        } else if self.find(name).is_some() {
            Some(MultipartError::DuplicateHeader)
        } else {
            None
        };
        let value = trim_blanks(value).to_vec();
        self.headers.push(Header { name: name.to_vec(), value, line: line.to_vec() });
        // A header with a fault is shown to rules all the same.
        fault.map_or(Ok(()), Err)
    }

    fn find(&self, name: &[u8]) -> Option<&Header> {
        self.headers.iter().find(|header| header.name.eq_ignore_ascii_case(name))
    }
}

fn add_field(form: &mut Form, field: Field, limits: &Limits) -> Result<(), MultipartError> {
    if form.fields.len() >= limits.fields {
        return Err(MultipartError::TooManyFields);
    }
    form.fields.push(field);
    Ok(())
}

/// Leaves out blanks at the start, the only white space within a line that RFC 822 knows.
pub(super) fn trim_blanks(text: &[u8]) -> &[u8] {
    let kept = text.iter().position(|byte| !matches!(byte, b' ' | b'\t'));
    &text[kept.unwrap_or(text.len())..]
}

fn split_line_end(line: &[u8]) -> (&[u8], &'static [u8]) {
    match line {
        [text @ .., b'\r', b'\n'] => (text, b"\r\n"),
        [text @ .., b'\n'] => (text, b"\n"),
        text => (text, b""),
    }
}
