//! XML 1.0 to the two things that rules ask for: the text of the document (`XML:/*`) and the
//! values of its attributes (`XML://@*`).
//!
//! By hand, since only well-formedness, text and attributes matter, and every bound is in sight.
//! There are no entities but the five that XML has itself: a DOCTYPE that could declare others is
//! refused, as one is that has a server fetch others; one that only names a type is passed over.

mod cursor;
mod encoding;
mod reference;
mod tag;

use memchr::{memchr, memmem};

use cursor::Cursor;
use encoding::Decoded;
use tag::Tag;

use crate::body::Limits;

/// What a body holds; without a fault it is well-formed.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Xml {
    /// All text, CDATA with it, in UTF-8.
    pub(crate) text: Vec<u8>,
    /// The values of attributes, in order, namespaces left out.
    pub(crate) attributes: Vec<Vec<u8>>,
    /// Reading ended here; what stands before it has been read.
    pub(crate) fault: Option<XmlError>,
}

/// Why a body is not XML, or more than allowed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub(crate) enum XmlError {
    #[error("xml: ends early")]
    Cut,
    #[error("xml: not in UTF-8, UTF-16 or ISO-8859-1, or not in what it declares")]
    Encoding,
    #[error("xml: a character that XML does not allow")]
    Character,
    #[error("xml: an invalid declaration")]
    Declaration,
    #[error("xml: a document type with declarations, of its own or elsewhere")]
    DocumentType,
    #[error("xml: an invalid document type")]
    InvalidDocumentType,
    #[error("xml: a document type out of place")]
    LateDocumentType,
    #[error("xml: no element")]
    NoElement,
    #[error("xml: text outside of the document's element")]
    Outside,
    #[error("xml: an invalid name")]
    Name,
    #[error("xml: an invalid tag")]
    Tag,
    #[error("xml: an attribute without a quoted value")]
    Attribute,
    #[error("xml: an attribute twice in one tag")]
    DuplicateAttribute,
    #[error("xml: an end tag that matches no start tag")]
    Mismatched,
    #[error("xml: an invalid or unknown entity or character reference")]
    Reference,
    #[error("xml: an invalid comment")]
    Comment,
    #[error("xml: an invalid processing instruction")]
    Instruction,
    #[error("xml: CDATA out of place")]
    Cdata,
    #[error("xml: nested deeper than allowed")]
    TooDeep,
    #[error("xml: more attributes than allowed")]
    TooManyAttributes,
    #[error("xml: a value is longer than allowed")]
    ValueTooLong,
}

impl XmlError {
    /// Whether the body may be right, but has more in it than is read.
    pub(crate) const fn is_bound(&self) -> bool {
        matches!(self, Self::TooDeep | Self::TooManyAttributes | Self::ValueTooLong)
    }
}

/// Reads a whole document. An empty body is none, and no fault.
#[must_use]
pub(crate) fn read(bytes: &[u8], limits: &Limits) -> Xml {
    let mut xml = Xml::default();
    if bytes.is_empty() {
        return xml;
    }
    let decoded = match Decoded::new(bytes) {
        Ok(decoded) => decoded,
        Err(fault) => return Xml { fault: Some(fault), ..xml },
    };
    let mut document = Document {
        cursor: Cursor::new(&decoded.text),
        limits,
        open: Vec::new(),
        had_element: false,
        had_type: false,
        xml: &mut xml,
    };
    let result = document.run();
    xml.fault = match (result.err(), decoded.fault) {
        // The rest was left out for this.
        (None | Some(XmlError::Cut | XmlError::NoElement), Some(fault)) => Some(fault),
        (fault, _) => fault,
    };
    xml
}

struct Document<'a> {
    cursor: Cursor<'a>,
    limits: &'a Limits,
    /// Names of elements that have not ended. Invariant: at most `limits.depth`.
    open: Vec<&'a [u8]>,
    had_element: bool,
    had_type: bool,
    xml: &'a mut Xml,
}

impl<'a> Document<'a> {
    fn run(&mut self) -> Result<(), XmlError> {
        while !self.cursor.is_at_end() {
            let text = match memchr(b'<', self.cursor.rest()) {
                Some(length) => self.cursor.take(length),
                None => self.cursor.take_all(),
            };
            self.text(text)?;
            if !self.cursor.is_at_end() {
                self.markup()?;
            }
        }
        match (self.open.is_empty(), self.had_element) {
            (false, _) => Err(XmlError::Cut),
            (true, false) => Err(XmlError::NoElement),
            (true, true) => Ok(()),
        }
    }

    fn text(&mut self, text: &[u8]) -> Result<(), XmlError> {
        if self.open.is_empty() {
            let is_space = text.iter().all(|byte| cursor::is_space(*byte));
            return if is_space { Ok(()) } else { Err(XmlError::Outside) };
        }
        let room = self.limits.value_bytes;
        let (text, end) = match memmem::find(text, b"]]>") {
            Some(at) => (&text[..at], Err(XmlError::Cdata)),
            None => (text, Ok(())),
        };
        let result = reference::resolve(text, reference::Within::Text, &mut self.xml.text);
        if self.xml.text.len() > room {
            self.xml.text.truncate(room);
            return Err(XmlError::ValueTooLong);
        }
        result.and(end)
    }

    /// Reads what begins with `<`.
    fn markup(&mut self) -> Result<(), XmlError> {
        if self.cursor.skip(b"<!--") {
            self.cursor.until(b"--").ok_or(XmlError::Cut)?;
            return self.cursor.skip_or(b">", XmlError::Comment);
        }
        if self.cursor.skip(b"<![CDATA[") {
            return self.cdata();
        }
        if self.cursor.skip(b"<!DOCTYPE") {
            return self.document_type();
        }
        if self.cursor.skip(b"<?") {
            return self.instruction();
        }
        if self.cursor.skip(b"</") {
            let name = self.cursor.name()?;
            self.cursor.skip_space();
            self.cursor.skip_or(b">", XmlError::Tag)?;
            return match self.open.pop() {
                Some(open) if open == name => Ok(()),
                _ => Err(XmlError::Mismatched),
            };
        }
        self.cursor.skip(b"<");
        self.start_tag()
    }

    fn start_tag(&mut self) -> Result<(), XmlError> {
        if self.open.is_empty() && self.had_element {
            return Err(XmlError::Outside);
        }
        self.had_element = true;
        if self.open.len() >= self.limits.depth {
            return Err(XmlError::TooDeep);
        }
        let tag = Tag::read(&mut self.cursor, self.limits, &mut self.xml.attributes)?;
        if !tag.is_empty {
            self.open.push(tag.name);
        }
        Ok(())
    }

    fn cdata(&mut self) -> Result<(), XmlError> {
        if self.open.is_empty() {
            return Err(XmlError::Cdata);
        }
        let (text, is_cut) = match self.cursor.until(b"]]>") {
            Some(text) => (text, false),
            None => (self.cursor.take_all(), true),
        };
        let room = self.limits.value_bytes - self.xml.text.len();
        self.xml.text.extend_from_slice(&text[..text.len().min(room)]);
        match (text.len() > room, is_cut) {
            (true, _) => Err(XmlError::ValueTooLong),
            (false, true) => Err(XmlError::Cut),
            (false, false) => Ok(()),
        }
    }

    fn document_type(&mut self) -> Result<(), XmlError> {
        if self.had_type || self.had_element {
            return Err(XmlError::LateDocumentType);
        }
        self.had_type = true;
        if !self.cursor.skip_space() {
            return Err(XmlError::InvalidDocumentType);
        }
        self.cursor.name()?;
        let mut literals = 0;
        if self.cursor.skip_space() {
            literals = match () {
                () if self.cursor.skip(b"SYSTEM") => 1,
                () if self.cursor.skip(b"PUBLIC") => 2,
                () => 0,
            };
            for _ in 0..literals {
                self.literal()?;
            }
            self.cursor.skip_space();
        }
        match self.cursor.next().ok_or(XmlError::Cut)? {
            b'>' if literals == 0 => Ok(()),
            // Servers may fetch the one, and do what stands in the other.
            b'>' | b'[' => Err(XmlError::DocumentType),
            _ => Err(XmlError::InvalidDocumentType),
        }
    }

    /// Passes over the name or the address of a document type.
    fn literal(&mut self) -> Result<(), XmlError> {
        let is_separate = self.cursor.skip_space();
        match self.cursor.next().ok_or(XmlError::Cut)? {
            quote @ (b'"' | b'\'') if is_separate => {
                self.cursor.until(&[quote]).map(drop).ok_or(XmlError::Cut)
            }
            _ => Err(XmlError::InvalidDocumentType),
        }
    }

    fn instruction(&mut self) -> Result<(), XmlError> {
        let target = self.cursor.name()?;
        let rest = self.cursor.until(b"?>").ok_or(XmlError::Cut)?;
        let is_separate = rest.first().is_none_or(|byte| cursor::is_space(*byte));
        if target.eq_ignore_ascii_case(b"xml") || !is_separate {
            return Err(XmlError::Instruction);
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests;
