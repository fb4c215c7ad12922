//! `multipart/form-data` (RFC 7578), strictly: what servers may read in two ways is a flag or a
//! fault, as in ModSecurity 2.
//!
//! It is fed with chunks that are cut anywhere. Contents of files are counted and never kept.

mod boundary;
mod disposition;
mod fault;
mod form;
mod part;

use boundary::Boundary;
use disposition::Disposition;
use part::{Part, Place};

use crate::body::Limits;

pub(crate) use boundary::BoundaryError;
pub(crate) use disposition::DispositionError;
pub(crate) use fault::MultipartError;
pub(crate) use form::{Field, File, Flags, Form, PartHeaders};

/// A line is looked at in segments of at most so many bytes, of which only the first is searched
/// for boundaries, and headers must fit into one.
const SEGMENT_BYTES: usize = 4_096;

/// A body that is being read.
#[derive(Debug, Clone)]
pub(crate) struct Multipart {
    boundary: Boundary,
    limits: Limits,
    form: Form,
    part: Option<Part>,
    parts: usize,
    /// The segment that is not complete. Invariant: at most SEGMENT_BYTES.
    segment: Vec<u8>,
    /// The segment begins a line.
    starts_line: bool,
    /// The line before it ended in a bare LF.
    follows_lf: bool,
    boundaries: usize,
    is_complete: bool,
    fed: u64,
    in_files: u64,
}

impl Multipart {
    /// Ready for the first chunk; `content_type` is the value of the request's header.
    ///
    /// # Errors
    /// When it names no boundary, or one that servers may read in two ways.
    pub(crate) fn new(content_type: &[u8], limits: &Limits) -> Result<Self, MultipartError> {
        let mut form = Form::default();
        let boundary = Boundary::parse(content_type, &mut form.flags)?;
        Ok(Self {
            boundary,
            limits: *limits,
            form,
            part: None,
            parts: 0,
            segment: Vec::new(),
            starts_line: true,
            follows_lf: false,
            boundaries: 0,
            is_complete: false,
            fed: 0,
            in_files: 0,
        })
    }

    /// Reads the next bytes; after a fault they are only counted.
    pub(crate) fn feed(&mut self, chunk: &[u8]) {
        self.fed += chunk.len() as u64;
        let mut rest = chunk;
        while !rest.is_empty() && self.form.fault.is_none() {
            if self.is_complete {
                self.form.flags.data_after = true;
                return;
            }
            rest = self.take(rest);
        }
    }

    /// What has been read; the fault, if there is one, stands in it.
    #[must_use]
    pub(crate) fn finish(mut self) -> Form {
        if self.fed > 0 && !self.is_complete && self.form.fault.is_none() {
            self.complete();
        }
        if let Some(part) = self.part.take() {
            // What was read of it is shown to rules; the fault that left it open is the one told.
            part.close(&mut self.form, &self.limits).ok();
        }
        self.form
    }

    /// The last byte lies in the contents of a file (or in a line there that may be a boundary).
    #[must_use]
    pub(crate) fn is_in_file(&self) -> bool {
        self.form.fault.is_none() && self.part.as_ref().is_some_and(Part::is_in_file)
    }

    /// How many of the bytes were not contents of files.
    #[must_use]
    pub(crate) fn inspected(&self) -> u64 {
        let pending = if self.is_in_file() { self.segment.len() as u64 } else { 0 };
        self.fed - self.in_files - pending
    }

    /// Moves bytes into the segment, reads it when it is complete, and tells what is left.
    fn take<'a>(&mut self, rest: &'a [u8]) -> &'a [u8] {
        let room = &rest[..rest.len().min(SEGMENT_BYTES - self.segment.len())];
        let line_end = memchr::memchr(b'\n', room);
        let (taken, left) = rest.split_at(line_end.map_or(room.len(), |at| at + 1));
        self.segment.extend_from_slice(taken);
        if line_end.is_none() && self.segment.len() < SEGMENT_BYTES {
            return left;
        }
        let mut segment = std::mem::take(&mut self.segment);
        // A CR stays with what follows: it may be half of a line end.
        let held = line_end.is_none() && segment.last() == Some(&b'\r');
        if held {
            segment.pop();
        }
        if let Err(fault) = self.read(&segment, line_end.is_some()) {
            self.form.fault = Some(fault);
        }
        self.starts_line = line_end.is_some();
        self.follows_lf = line_end.is_some() && !segment.ends_with(b"\r\n");
        segment.clear();
        if held {
            segment.push(b'\r');
        }
        self.segment = segment;
        left
    }

    fn read(&mut self, segment: &[u8], ends_line: bool) -> Result<(), MultipartError> {
        if self.starts_line && self.read_boundary(segment)? {
            return Ok(());
        }
        let Some(part) = &mut self.part else {
            self.form.flags.data_before = true;
            return Ok(());
        };
        if part.place == Place::Contents {
            self.in_files += part.add_contents(segment, &self.limits)?;
            return Ok(());
        }
        if !ends_line {
            return Err(MultipartError::HeaderTooLong);
        }
        part.add_header_line(segment, &self.limits, &mut self.form.flags)
    }

    /// Whether a line is a boundary; notes what resembles one.
    fn read_boundary(&mut self, line: &[u8]) -> Result<bool, MultipartError> {
        let Some(text) = line.strip_prefix(b"--").filter(|_| line.len() > 3) else {
            self.form.flags.unmatched_boundary |= self.boundary.is_within(line);
            return Ok(false);
        };
        let Some(end) = text.strip_prefix(self.boundary.text()) else {
            self.boundary.check_unmatched(text, self.form.flags.boundary_quoted)?;
            self.form.flags.unmatched_boundary = true;
            return Ok(false);
        };
        let flags = &mut self.form.flags;
        flags.lf_line |= self.follows_lf;
        if self.boundaries > 0 && self.part.as_ref().is_none_or(|part| !part.has_data) {
            // It stands where headers or the first line of the contents should.
            flags.invalid_part = true;
            return Ok(false);
        }
        let (is_final, end) = match end.strip_prefix(b"--") {
            Some(end) => (true, end),
            None => (false, end),
        };
        match end {
            b"\r\n" => flags.crlf_line = true,
            b"\n" => flags.lf_line = true,
            _ => return Err(MultipartError::InvalidBoundaryLine),
        }
        self.boundaries += 1;
        self.is_complete = is_final;
        self.next_part()?;
        Ok(true)
    }

    /// Ends the part that is being read, and begins another unless that was the last.
    fn next_part(&mut self) -> Result<(), MultipartError> {
        let ended = match self.part.take() {
            Some(part) => part.close(&mut self.form, &self.limits),
            None => Ok(()),
        };
        if !self.is_complete {
            self.parts += 1;
            if self.parts > self.limits.parts {
                return Err(MultipartError::TooManyParts);
            }
            self.part = Some(Part::default());
        }
        ended
    }

    /// Reads what is left at the end: the last boundary needs no line end.
    fn complete(&mut self) {
        let line = std::mem::take(&mut self.segment);
        let last = line.strip_prefix(b"--").and_then(|line| line.strip_suffix(b"--"));
        let is_last = self.starts_line && last == Some(self.boundary.text());
        self.form.fault = if self.boundaries == 0 {
            Some(MultipartError::NoBoundary)
        } else if is_last {
            self.form.flags.lf_line |= self.follows_lf;
            self.form.flags.invalid_part |= self.part.as_ref().is_none_or(|part| !part.has_data);
            self.is_complete = true;
            self.next_part().err()
        } else {
            if let Some(part) = self.part.as_mut().filter(|part| part.place == Place::Contents) {
                // The end is missing, which is the fault that is told.
                part.add_contents(&line, &self.limits).ok();
            }
            Some(MultipartError::NoLastBoundary)
        };
    }
}

#[cfg(test)]
mod tests;
