//! Why a request is refused before any rule of the site is asked.

/// How a refusal is to be answered; `proxy/refuse.rs` knows the statuses.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Kind {
    /// The request breaks the rules of HTTP or has more than one reading.
    BadRequest,
    /// The method is one that no route may allow.
    Method,
    /// The protocol version is not spoken here.
    Version,
    /// The client expects something nobody offers.
    Expectation,
}

/// One table: a cause, how it is answered, its name in logs, and its meaning.
macro_rules! causes {
    ($($cause:ident: $kind:ident, $tag:literal, $meaning:literal;)*) => {
        /// The cause of a refusal.
        #[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
        pub(crate) enum Malformed {
            $(#[error($meaning)] $cause,)*
        }

        impl Malformed {
            pub(crate) fn kind(&self) -> Kind {
                match self {
                    $(Malformed::$cause => Kind::$kind,)*
                }
            }

            /// Whether a link on any page can make a browser ask so: it leaves
            /// these as they are written, and resolves dot segments.
            pub(crate) fn is_of_links(&self) -> bool {
                matches!(
                    self,
                    Malformed::TargetByte
                        | Malformed::Backslash
                        | Malformed::EncodedSlash
                        | Malformed::EncodedControl
                        | Malformed::DotSegmentParameter
                        | Malformed::DoubleEncoding
                        | Malformed::IncompleteEscape
                        | Malformed::NotUtf8
                )
            }

            /// The cause as one word of the log.
            pub(crate) fn tag(&self) -> &'static str {
                match self {
                    $(Malformed::$cause => $tag,)*
                }
            }

            #[cfg(test)]
            const ALL: &[Malformed] = &[$(Malformed::$cause,)*];
        }
    };
}

causes! {
    // The lines of a head.
    BareLf: BadRequest, "bare_lf", "a line ends in LF without CR";
    BareCr: BadRequest, "bare_cr", "a CR without LF";
    HeadEnd: BadRequest, "head_end", "the head does not end with its first empty line";

    // The request line.
    RequestLine: BadRequest, "request_line", "the request line is not METHOD SP TARGET SP VERSION";
    Method: BadRequest, "method", "the method is no upper-case token";
    Connect: Method, "connect", "CONNECT, which is for forward proxies";
    Trace: Method, "trace", "TRACE, which echoes what browsers hide from scripts";
    Version: Version, "version", "a version other than HTTP/1.0 and HTTP/1.1";
    TargetByte: BadRequest, "target_byte", "a byte that must be escaped in a target";
    TargetForm: BadRequest, "target_form", "a target that is no path, no http URI and no lawful *";

    // The path.
    Backslash: BadRequest, "backslash", "a backslash, which some servers read as a slash";
    EncodedSlash: BadRequest, "encoded_slash", "an encoded slash in the path";
    EncodedControl: BadRequest, "encoded_control", "an encoded control byte in the path";
    EncodedDotSegment: BadRequest, "encoded_dot_segment", "a dot segment in disguise";
    DotSegmentParameter: BadRequest, "dot_segment_parameter", "a dot segment with a parameter";
    DoubleEncoding: BadRequest, "double_encoding", "an escape that decodes to an escape";
    IncompleteEscape: BadRequest, "incomplete_escape", "a % without two hexadecimal digits";
    NotUtf8: BadRequest, "not_utf8", "escapes that do not decode to UTF-8";
    AboveRoot: BadRequest, "above_root", "a path that climbs above the root";
    DotsAmongSlashes: BadRequest, "dots_among_slashes", "both .. and // in one path";

    // Header lines.
    FoldedLine: BadRequest, "folded_line", "a header line that starts with white space";
    SpaceInName: BadRequest, "space_in_name", "white space before the colon of a header";
    HeaderName: BadRequest, "header_name", "a header name that is empty or no token";
    UnderscoreInName: BadRequest, "underscore_in_name", "a header name with an underscore";
    HeaderValue: BadRequest, "header_value", "a control byte in a header value";
    PaddedValue: BadRequest, "padded_value", "white space around a header value in HTTP/2";

    // How long the body is.
    ContentLength: BadRequest, "content_length", "a Content-Length that is no plain number";
    TwoContentLengths: BadRequest, "two_content_lengths", "more than one Content-Length";
    TransferEncoding: BadRequest, "transfer_encoding", "a Transfer-Encoding other than chunked";
    TwoTransferEncodings: BadRequest, "two_transfer_encodings", "more than one Transfer-Encoding";
    TransferEncodingInHttp10: BadRequest, "transfer_encoding_in_http_1_0", "Transfer-Encoding in HTTP/1.0";
    LengthAndChunked: BadRequest, "length_and_chunked", "Content-Length beside Transfer-Encoding";
    Chunks: BadRequest, "chunks", "a chunked body whose chunks cannot be read";
    BodyLength: BadRequest, "body_length", "a body that is not as long as its Content-Length says";
    Trailers: BadRequest, "trailers", "a trailer that says where a message ends or whom it is for";
    UpgradeWithBody: BadRequest, "upgrade_with_body", "a WebSocket handshake with a body";

    // Whom it is for.
    NoHost: BadRequest, "no_host", "no Host";
    TwoHosts: BadRequest, "two_hosts", "more than one Host";
    HostMismatch: BadRequest, "host_mismatch", "a Host that differs from the authority of the target";
    Host: BadRequest, "host", "a Host that is no name and no address";
    Userinfo: BadRequest, "userinfo", "a user name in the Host";
    Port: BadRequest, "port", "a port that is no number from 1 to 65535";

    // What is meant for this connection alone.
    Connection: BadRequest, "connection", "a Connection that is no short list of tokens";
    ProtectedOption: BadRequest, "protected_option", "a Connection that asks to remove a header servers rely on";
    ConnectionHeader: BadRequest, "connection_header", "a header of HTTP/1 connections in HTTP/2";
    Te: BadRequest, "te", "a TE other than trailers in HTTP/2";
    Expectation: Expectation, "expectation", "an Expect other than 100-continue";
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_cause_has_a_tag_of_its_own() {
        let mut tags: Vec<_> = Malformed::ALL.iter().map(Malformed::tag).collect();
        tags.sort_unstable();
        let count = tags.len();
        tags.dedup();
        assert_eq!(tags.len(), count);
        assert!(tags.iter().all(|tag| tag.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'_')));
    }

    #[test]
    fn only_four_causes_are_no_bad_request() {
        let others: Vec<_> =
            Malformed::ALL.iter().filter(|cause| cause.kind() != Kind::BadRequest).collect();
        assert_eq!(
            others,
            [&Malformed::Connect, &Malformed::Trace, &Malformed::Version, &Malformed::Expectation]
        );
    }
}
