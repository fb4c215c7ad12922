//! Bodies of requests to variables, once they are whole or as large as is inspected.

use crate::body::decoded::{DecodeError, Decoder};
use crate::body::multipart::{Form, Multipart};
use crate::body::{Limits, json, urlencoded, xml};
use crate::parse::{BodyProcessor, OverLimit, Variable};
use crate::rules::{ATTRIBUTES, Settings, TEXT};
use crate::transaction::guess;
use crate::transaction::overrun::Overrun;
use crate::transaction::request::{RequestHead, argument, processor_of, sizes};
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
    head_fault: Option<&'static str>,
    decoder: Option<Box<Decoder>>,
    decoding_fault: Option<Unread>,
    /// The same body for a server that does not look at its content coding; most do not.
    undecoded: Option<Box<Incoming>>,
    /// Bytes as they came.
    length: u64,
    is_over: bool,
    /// It has no end yet, and no fault may be made of that.
    is_partial: bool,
}

impl Incoming {
    /// With the space of an earlier body.
    pub(crate) fn within(space: Vec<u8>) -> Self {
        Self { bytes: space, ..Self::default() }
    }

    /// Prepares for a body of this media type and content coding.
    pub(crate) fn begin(&mut self, head: &RequestHead<'_>, settings: &Settings, state: &State) {
        let limits = Limits::default();
        let limits = Limits {
            files: settings.files,
            fields: settings.arguments,
            parts: limits.parts.max(settings.arguments),
            ..limits
        };
        let mut types = head.values(b"content-type");
        let first = head.header(b"content-type").unwrap_or_default();
        let content_type = types.find(|value| processor_of(value).is_some()).unwrap_or(first);
        self.open(content_type, &limits, state);
        // Servers differ in which of them they take.
        if head.values(b"content-type").any(|value| value != content_type) {
            self.head_fault = Some("media type: more than one");
        }
        let codings: Vec<&[u8]> = head.values(b"content-encoding").collect();
        match Decoder::new(&codings.join(&b','), &limits) {
            Ok(None) => return,
            Ok(decoder) => self.decoder = decoder.map(Box::new),
            // Nobody would read it without the coding, either (`snappy`, `aws-chunked`).
            Err(DecodeError::Unknown) if state.processor.is_none() => return,
            Err(error) => self.decoding_fault = Some(Unread::new(&error, error.is_bound())),
        }
        let mut undecoded = Self::default();
        undecoded.open(content_type, &limits, state);
        self.undecoded = Some(Box::new(undecoded));
    }

    fn open(&mut self, content_type: &[u8], limits: &Limits, state: &State) {
        if state.processor == Some(BodyProcessor::Multipart) {
            match Multipart::new(content_type, limits) {
                Ok(form) => self.form = Some(Box::new(form)),
                Err(error) => self.form_fault = Some(error.to_string()),
            }
        }
    }

    pub(crate) fn feed(&mut self, chunk: &[u8], settings: &Settings) -> Wanted {
        self.length = self.length.saturating_add(chunk.len() as u64);
        let undecoded = self.undecoded.as_mut().map(|body| body.feed(chunk, settings));
        if !self.is_over && self.decoding_fault.is_none() {
            self.decode(chunk, settings);
        }
        let is_done = self.is_over || self.decoding_fault.is_some();
        match undecoded {
            Some(Wanted::More) => Wanted::More,
            _ if is_done => Wanted::Enough,
            _ => Wanted::More,
        }
    }

    fn decode(&mut self, chunk: &[u8], settings: &Settings) {
        let Some(mut decoder) = self.decoder.take() else { return self.keep(chunk, settings) };
        let mut decoded = Vec::new();
        match decoder.feed(chunk, &mut decoded) {
            Ok(()) => self.decoder = Some(decoder),
            Err(error) => self.decoding_fault = Some(Unread::new(&error, error.is_bound())),
        }
        self.keep(&decoded, settings);
    }

    /// How many bytes without content of files came so far; what is beyond the limit counts not.
    pub(crate) fn inspected(&self) -> u64 {
        match &self.form {
            Some(form) => form.inspected(),
            None if self.is_over => self.bytes.len() as u64,
            None => self.length,
        }
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
            head_fault: self.head_fault,
            decoder: None,
            decoding_fault: self.decoding_fault.clone(),
            undecoded: None,
            length: self.length,
            is_over: self.is_over,
            is_partial: true,
        }
    }

    /// There is more, which is not read.
    pub(crate) fn cut(&mut self) {
        self.is_over = true;
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

    /// Fills the variables of a body that has ended; gives its space back.
    pub(crate) fn end(mut self, settings: &Settings, state: &mut State) -> Vec<u8> {
        if let Some(Err(error)) = self.decoder.take().map(|decoder| decoder.finish())
            && !self.is_over
        {
            self.decoding_fault = Some(Unread::new(&error, error.is_bound()));
        }
        let undecoded = self.undecoded.take();
        let length = if self.form.is_some() { self.length } else { self.bytes.len() as u64 };
        state.set(Variable::RequestBodyLength, itoa(length as i64).as_bytes());
        if self.is_over || undecoded.as_ref().is_some_and(|body| body.is_over) {
            state.set(Variable::InboundDataError, b"1");
            if settings.over_request_limit == OverLimit::Reject {
                state.overrun.get_or_insert(Overrun::Body);
            }
        }
        let is_whole = !self.is_over && !self.is_partial;
        let fault = self.decoding_fault.take();
        let of_head = || self.head_fault.filter(|_| self.length > 0);
        let fault = fault.or_else(|| Some(Unread::new(&of_head()?, false)));
        self.read(settings, state).tell(is_whole, state);
        if let Some(fault) = fault {
            fault.tell(true, state);
        }
        if let Some(mut undecoded) = undecoded {
            // It is not what it claims to be if it is well coded: no other fault of it counts.
            if undecoded.read(settings, state).is_bound() {
                state.overrun.get_or_insert(Overrun::Parts);
            }
        }
        sizes(state);
        self.bytes.clear();
        self.bytes
    }

    fn read(&mut self, settings: &Settings, state: &mut State) -> Faults {
        let is_form = state.processor == Some(BodyProcessor::Multipart);
        if state.processor == Some(BodyProcessor::UrlEncoded)
            || state.forces_request_body && !is_form
        {
            state.add(Variable::RequestBody, &self.bytes);
        }
        let mut faults = Faults::default();
        match state.processor {
            Some(BodyProcessor::UrlEncoded) => {
                for pair in urlencoded::split(&self.bytes, settings.argument_separator) {
                    faults.is_malformed |= pair.is_malformed;
                    argument(Variable::ArgsPost, &pair.name, &pair.value, settings, state);
                }
            }
            Some(BodyProcessor::Multipart) => match (self.form.take(), self.form_fault.take()) {
                (Some(form), _) => {
                    let form = form.finish();
                    read_form(&form, settings, state);
                    faults.form = Some(form);
                }
                (None, fault) => {
                    let late = || "multipart: the media type was set too late".to_owned();
                    faults.form_fault = Some(fault.unwrap_or_else(late));
                }
            },
            Some(BodyProcessor::Json) => faults.unread = read_json(&self.bytes, settings, state),
            Some(BodyProcessor::Xml) => faults.unread = read_xml(&self.bytes, state),
            None => {}
        }
        if guess::is_for(state.processor, state) {
            faults.unread = guess::read(&self.bytes, settings, state);
        }
        faults
    }
}

/// What is wrong with a body.
#[derive(Default)]
struct Faults {
    unread: Option<Unread>,
    is_malformed: bool,
    form: Option<Form>,
    form_fault: Option<String>,
}

impl Faults {
    fn is_bound(&self) -> bool {
        let of_form = self.form.as_ref().and_then(|form| form.fault);
        self.unread.as_ref().is_some_and(|unread| unread.is_bound)
            || of_form.is_some_and(|fault| fault.is_bound())
    }

    fn tell(self, is_whole: bool, state: &mut State) {
        if self.is_malformed {
            state.set(Variable::UrlencodedError, b"1");
        }
        if let Some(form) = &self.form {
            strictness(form, is_whole, state);
        }
        if let Some(fault) = &self.form_fault {
            state.set(Variable::MultipartStrictError, b"1");
            fail(fault, state);
        }
        let of_form = self.form.and_then(|form| form.fault);
        let of_form = of_form.map(|fault| Unread::new(&fault, fault.is_bound()));
        if let Some(unread) = self.unread.or(of_form) {
            unread.tell(is_whole, state);
        }
    }
}

/// Why not all of a body was read.
#[derive(Debug, Clone)]
pub(super) struct Unread {
    message: String,
    is_bound: bool,
}

impl Unread {
    pub(super) fn new(message: &impl ToString, is_bound: bool) -> Self {
        Self { message: message.to_string(), is_bound }
    }

    /// Of a body that is not whole, it may only be that its end is not there.
    fn tell(&self, is_whole: bool, state: &mut State) {
        if is_whole {
            fail(&self.message, state);
        }
        // Rules need not look for what is the engine's own limit.
        if self.is_bound {
            state.overrun.get_or_insert(Overrun::Parts);
        }
    }
}

/// Bytes of all names of a JSON body, and so many more for each byte of it.
const NAMES_BYTES: usize = 16 << 10;
const NAMES_RATIO: usize = 8;

/// What is read of a JSON body of these bytes.
pub(super) fn json_limits(bytes: &[u8], settings: &Settings) -> Limits {
    let mut limits = Limits { depth: settings.json_depth, fields: usize::MAX, ..Limits::default() };
    // Each name repeats those above it: a small body must not make large ones.
    let names_bytes = bytes.len().saturating_mul(NAMES_RATIO).saturating_add(NAMES_BYTES);
    limits.names_bytes = limits.names_bytes.min(names_bytes);
    limits
}

fn read_json(bytes: &[u8], settings: &Settings, state: &mut State) -> Option<Unread> {
    let limits = json_limits(bytes, settings);
    let read = json::flatten(bytes, &limits, &mut |name, value| {
        json_argument(name, value, settings, state);
    });
    read.err().map(|error| Unread::new(&error, error.is_bound()))
}

/// An argument of a JSON body.
///
/// Of numbers in lists there may be thousands (vectors, coordinates), and no rule has anything
/// against one: they take no more than half of what there may be.
pub(super) fn json_argument(name: &[u8], value: &[u8], settings: &Settings, state: &mut State) {
    let index = name.rsplit(|byte| *byte == b'.').next().unwrap_or_default();
    let is_index = !index.is_empty() && index.iter().all(u8::is_ascii_digit);
    let is_of_number = |byte: &u8| byte.is_ascii_digit() || b"+-.eE".contains(byte);
    let is_number = value.iter().all(is_of_number) || matches!(value, b"true" | b"false");
    let most = settings.arguments / 2;
    if is_index && is_number && state.collections.items(Variable::Args).len() >= most {
        return;
    }
    argument(Variable::ArgsPost, name, value, settings, state);
}

fn read_xml(bytes: &[u8], state: &mut State) -> Option<Unread> {
    if bytes.is_empty() {
        return None;
    }
    let document = xml::read(bytes, &Limits::default());
    state.push(Variable::Xml, TEXT, &document.text);
    for attribute in &document.attributes {
        state.push(Variable::Xml, ATTRIBUTES, attribute);
    }
    document.fault.map(|fault| Unread::new(&fault, fault.is_bound()))
}

fn read_form(form: &Form, settings: &Settings, state: &mut State) {
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
