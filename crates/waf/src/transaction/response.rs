//! An answer to variables.

use crate::parse::{OverLimit, Variable};
use crate::rules::Settings;
use crate::transaction::body::Wanted;
use crate::transaction::request::essence;
use crate::transaction::state::State;

/// The head of an answer, as the server sent it.
#[derive(Debug, Clone, Copy)]
pub struct ResponseHead<'a> {
    pub status: u16,
    pub protocol: &'a [u8],
    /// Names and values in their order.
    pub headers: &'a [(&'a [u8], &'a [u8])],
}

/// What came of an answer's body so far.
#[derive(Debug, Default)]
pub(crate) struct Outgoing {
    bytes: Vec<u8>,
    is_inspected: bool,
    is_over: bool,
}

impl Outgoing {
    pub(crate) fn head(&mut self, head: &ResponseHead<'_>, settings: &Settings, state: &mut State) {
        let status = head.status.to_string();
        state.set(Variable::ResponseStatus, status.as_bytes());
        state.set(Variable::ResponseProtocol, head.protocol);
        state.set(Variable::StatusLine, &[head.protocol, status.as_bytes()].join(&b' '));
        let mut media_type = b"(null)".to_vec();
        for (name, value) in head.headers {
            state.push(Variable::ResponseHeaders, name, value);
            if name.eq_ignore_ascii_case(b"content-type") {
                state.set(Variable::ResponseContentType, value);
                media_type = essence(value);
            } else if name.eq_ignore_ascii_case(b"content-length") {
                state.set(Variable::ResponseContentLength, value);
            }
        }
        self.is_inspected = is_listed(&media_type, &settings.response_types);
    }

    /// Whether the rules want to see the body: asked once the rules of the head have run.
    pub(crate) fn is_inspected(&self, state: &State) -> bool {
        self.is_inspected && state.reads_response_body && !self.is_over
    }

    pub(crate) fn feed(&mut self, chunk: &[u8], settings: &Settings, state: &State) -> Wanted {
        if !self.is_inspected(state) {
            return Wanted::Enough;
        }
        let limit = usize::try_from(settings.response_body_limit).unwrap_or(usize::MAX);
        let space = limit.saturating_sub(self.bytes.len());
        self.bytes.extend_from_slice(chunk.get(..space).unwrap_or(chunk));
        self.is_over = chunk.len() > space;
        if self.is_over { Wanted::Enough } else { Wanted::More }
    }

    /// Fills the variables of a body that has ended; true if it is larger than is accepted.
    #[must_use]
    pub(crate) fn end(self, settings: &Settings, state: &mut State) -> bool {
        if self.is_inspected && state.reads_response_body {
            state.set(Variable::ResponseBody, &self.bytes);
        }
        if self.is_over {
            state.set(Variable::OutboundDataError, b"1");
        }
        self.is_over && settings.over_response_limit == OverLimit::Reject
    }
}

/// Whether a media type is in a list, or the one that it is written in (RFC 6839): `+json`.
fn is_listed(essence: &[u8], types: &[Vec<u8>]) -> bool {
    let has = |wanted: &[u8]| types.iter().any(|one| one == wanted);
    has(essence)
        || essence.ends_with(b"+json") && has(b"application/json")
        || essence.ends_with(b"+xml") && (has(b"application/xml") || has(b"text/xml"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_suffix_stands_for_what_a_type_is_written_in() {
        for (essence, types, expected) in [
            ("application/problem+json", "application/json", true),
            ("application/problem+json", "application/xml", false),
            ("application/problem+json", "application/problem+json", true),
            ("application/atom+xml", "application/xml", true),
            ("application/atom+xml", "text/plain text/xml", true),
            ("application/atom+xml", "application/json", false),
            ("application/json+x", "application/json", false),
            ("application/xjson", "application/json", false),
            ("application/x+zip", "application/json application/xml", false),
            ("application/json", "application/problem+json", false),
            ("", "text/plain", false),
        ] {
            let types: Vec<_> = types.split(' ').map(|one| one.as_bytes().to_vec()).collect();
            assert_eq!(is_listed(essence.as_bytes(), &types), expected, "{essence}");
        }
    }
}
