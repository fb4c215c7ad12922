//! Bodies of requests to variables, once they are whole or as large as is inspected.

use crate::body::decoded::Decoder;
use crate::body::multipart::{Form, Multipart};
use crate::body::{Limits, json, urlencoded, xml};
use crate::parse::{BodyProcessor, OverLimit, Variable};
use crate::rules::{ATTRIBUTES, Settings, TEXT};
use crate::transaction::overrun::Overrun;
use crate::transaction::request::{argument, sizes};
use crate::transaction::state::State;
use crate::transaction::tx::itoa;

/// Whether more of a body is to be fed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Wanted {
    More,
    /// What follows will not be inspected: end the request, or let it end.
    Enough,
}

/// What came of a body so far.
#[derive(Debug, Default)]
pub(crate) struct Incoming {
    bytes: Vec<u8>,
    form: Option<Box<Multipart>>,
    form_fault: Option<String>,
    decoder: Option<Box<Decoder>>,
    decoding_fault: Option<String>,
    /// Bytes as they came.
    length: u64,
    is_over: bool,
    /// It has no end yet, and no fault may be made of that.
    is_partial: bool,
}

impl Incoming {
    /// Prepares for a body of this media type and content coding.
    pub(crate) fn begin(&mut self, content_type: &[u8], coding: Option<&[u8]>, state: &State) {
        let limits = Limits::default();
        if let Some(coding) = coding {
            match Decoder::new(coding, &limits) {
                Ok(decoder) => self.decoder = decoder.map(Box::new),
                Err(error) => self.decoding_fault = Some(error.to_string()),
            }
        }
        if state.processor == Some(BodyProcessor::Multipart) {
            match Multipart::new(content_type, &limits) {
                Ok(form) => self.form = Some(Box::new(form)),
                Err(error) => self.form_fault = Some(error.to_string()),
            }
        }
    }

    pub(crate) fn feed(&mut self, chunk: &[u8], settings: &Settings) -> Wanted {
        self.length = self.length.saturating_add(chunk.len() as u64);
        if self.is_over || self.decoding_fault.is_some() {
            return Wanted::Enough;
        }
        match self.decoder.take() {
            None => self.keep(chunk, settings),
            Some(mut decoder) => {
                let mut decoded = Vec::new();
                match decoder.feed(chunk, &mut decoded) {
                    Ok(()) => self.decoder = Some(decoder),
                    Err(error) => self.decoding_fault = Some(error.to_string()),
                }
                self.keep(&decoded, settings);
            }
        }
        if self.is_over { Wanted::Enough } else { Wanted::More }
    }

    /// How many bytes without content of files came so far.
    pub(crate) fn inspected(&self) -> u64 {
        self.form.as_ref().map_or(self.length, |form| form.inspected())
    }

    /// Whether it is a form, and not in a content coding.
    pub(crate) fn is_plain_form(&self) -> bool {
        self.form.is_some() && self.decoder.is_none() && self.decoding_fault.is_none()
    }

    /// What came so far; not of a body in a content coding, whose decoder cannot go two ways.
    pub(crate) fn ahead(&self) -> Self {
        Self {
            bytes: self.bytes.clone(),
            form: self.form.clone(),
            form_fault: self.form_fault.clone(),
            decoder: None,
            decoding_fault: self.decoding_fault.clone(),
            length: self.length,
            is_over: self.is_over,
            is_partial: true,
        }
    }

    fn keep(&mut self, decoded: &[u8], settings: &Settings) {
        if let Some(form) = &mut self.form {
            form.feed(decoded);
            self.is_over = form.inspected() > settings.request_body_limit;
            return;
        }
        let limit = usize::try_from(settings.request_body_limit).unwrap_or(usize::MAX);
        let space = limit.saturating_sub(self.bytes.len());
        self.bytes.extend_from_slice(decoded.get(..space).unwrap_or(decoded));
        self.is_over = decoded.len() > space;
    }

    /// Fills the variables of a body that has ended.
    pub(crate) fn end(mut self, settings: &Settings, state: &mut State) {
        if let Some(Err(error)) = self.decoder.take().map(|decoder| decoder.finish())
            && !self.is_over
        {
            self.decoding_fault = Some(error.to_string());
        }
        let length = if self.form.is_some() { self.length } else { self.bytes.len() as u64 };
        state.set(Variable::RequestBodyLength, itoa(length as i64).as_bytes());
        if self.is_over {
            state.set(Variable::InboundDataError, b"1");
            if settings.over_request_limit == OverLimit::Reject {
                state.overrun.get_or_insert(Overrun::Body);
            }
        }
        if let Some(fault) = self.decoding_fault.take() {
            fail(&fault, state);
        }
        self.read(settings, state);
        sizes(state);
    }

    fn read(self, settings: &Settings, state: &mut State) {
        let is_whole = !self.is_over && !self.is_partial;
        if state.forces_request_body || state.processor == Some(BodyProcessor::UrlEncoded) {
            state.set(Variable::RequestBody, &self.bytes);
        }
        match state.processor {
            Some(BodyProcessor::UrlEncoded) => {
                let mut malformed = false;
                for pair in urlencoded::split(&self.bytes, settings.argument_separator) {
                    malformed |= pair.is_malformed;
                    argument(Variable::ArgsPost, &pair.name, &pair.value, settings, state);
                }
                if malformed {
                    state.set(Variable::UrlencodedError, b"1");
                }
            }
            Some(BodyProcessor::Multipart) => match (self.form, self.form_fault) {
                (Some(form), _) => multipart(form.finish(), is_whole, settings, state),
                (None, Some(fault)) => {
                    state.set(Variable::MultipartStrictError, b"1");
                    fail(&fault, state);
                }
                (None, None) => fail("Multipart: the media type was set too late", state),
            },
            Some(BodyProcessor::Json) => read_json(&self.bytes, is_whole, settings, state),
            Some(BodyProcessor::Xml) => read_xml(&self.bytes, is_whole, state),
            None => {}
        }
    }
}

fn read_json(bytes: &[u8], is_whole: bool, settings: &Settings, state: &mut State) {
    let limits = Limits { depth: settings.json_depth, fields: usize::MAX, ..Limits::default() };
    let read = json::flatten(bytes, &limits, &mut |name, value| {
        argument(Variable::ArgsPost, name, value, settings, state);
    });
    if let Err(error) = read
        && is_whole
    {
        fail(&error.to_string(), state);
    }
}

fn read_xml(bytes: &[u8], is_whole: bool, state: &mut State) {
    if bytes.is_empty() {
        return;
    }
    let document = xml::read(bytes, &Limits::default());
    state.push(Variable::Xml, TEXT, &document.text);
    for attribute in &document.attributes {
        state.push(Variable::Xml, ATTRIBUTES, attribute);
    }
    if let Some(fault) = document.fault
        && is_whole
    {
        fail(&fault.to_string(), state);
    }
}

fn multipart(form: Form, is_whole: bool, settings: &Settings, state: &mut State) {
    for field in &form.fields {
        argument(Variable::ArgsPost, &field.name, &field.value, settings, state);
    }
    for file in &form.files {
        state.push(Variable::Files, &file.name, &file.filename);
        if let Some(extended) = &file.extended {
            state.push(Variable::Files, &file.name, extended);
        }
        state.push(Variable::MultipartFilename, &file.name, &file.filename);
        state.push(Variable::FilesSizes, &file.name, itoa(file.bytes as i64).as_bytes());
    }
    for headers in &form.headers {
        for line in &headers.lines {
            state.push(Variable::MultipartPartHeaders, &headers.name, line);
        }
    }
    state.set(Variable::FilesCombinedSize, itoa(form.files_bytes() as i64).as_bytes());
    strictness(&form, is_whole, state);
    if let Some(fault) = &form.fault
        && is_whole
    {
        fail(&fault.to_string(), state);
    }
}

fn strictness(form: &Form, is_whole: bool, state: &mut State) {
    let flags = &form.flags;
    for (variable, is_set) in [
        (Variable::MultipartBoundaryQuoted, flags.boundary_quoted),
        (Variable::MultipartBoundaryWhitespace, flags.boundary_whitespace),
        (Variable::MultipartDataBefore, flags.data_before),
        (Variable::MultipartDataAfter, flags.data_after),
        (Variable::MultipartHeaderFolding, flags.header_folding),
        (Variable::MultipartLfLine, flags.lf_line),
        (Variable::MultipartCrlfLfLines, flags.is_mixed()),
        (Variable::MultipartMissingSemicolon, flags.missing_semicolon),
        (Variable::MultipartInvalidQuoting, flags.invalid_quoting),
        (Variable::MultipartInvalidPart, flags.invalid_part),
        (Variable::MultipartInvalidHeaderFolding, flags.invalid_header_folding),
        (Variable::MultipartFileLimitExceeded, flags.file_limit_exceeded),
        // Of a part of a body nobody can say where it ends.
        (Variable::MultipartUnmatchedBoundary, flags.unmatched_boundary && is_whole),
        (Variable::MultipartStrictError, form.is_strict_error() && is_whole),
    ] {
        state.set(variable, if is_set { b"1" } else { b"0" });
    }
}

/// A body that cannot be read as what it says it is.
fn fail(message: &str, state: &mut State) {
    for (error, text) in [
        (Variable::ReqbodyError, Variable::ReqbodyErrorMsg),
        (Variable::ReqbodyProcessorError, Variable::ReqbodyProcessorErrorMsg),
    ] {
        state.set(error, b"1");
        state.set(text, message.as_bytes());
    }
}
