//! Follows a chunked body to its end, and refuses one with two readings.
//!
//! Pingora takes an empty line for a chunk of no bytes, and looks neither at
//! extensions nor at trailers. Bodies are framed anew for servers, yet where a
//! body ends decides what the next request is (RFC 9112 §7.1, §11.2).

/// A chunked body that must not be read any further.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("its chunks have no one reading")]
pub(crate) struct BadChunks;

/// Digits of a chunk's size; pingora takes as many.
const MOST_DIGITS: u8 = 15;
/// Bytes of all chunk extensions of a body; they mean nothing to anybody.
const MOST_EXTENSIONS: usize = 16 * 1024;
/// Bytes of all trailers, which nobody gets.
const MOST_TRAILERS: usize = 16 * 1024;
/// A name in `FORBIDDEN` has fewer bytes.
const LONGEST_NAME: usize = 24;

/// Fields that no trailer may hold: they say where messages end, whom they are
/// for, and who sends them (RFC 9110 §6.5.1).
const FORBIDDEN: [&[u8]; 15] = [
    b"authorization",
    b"connection",
    b"content-length",
    b"cookie",
    b"expect",
    b"forwarded",
    b"host",
    b"proxy-authorization",
    b"te",
    b"trailer",
    b"transfer-encoding",
    b"upgrade",
    b"x-forwarded-for",
    b"x-forwarded-host",
    b"x-forwarded-proto",
];

/// Where in a chunked body its reader is.
#[derive(Debug, Default)]
pub(super) struct Chunks {
    at: At,
    // Of the current chunk: its size while that is read, then what is missing.
    left: u64,
    digits: u8,
    extensions: usize,
    trailers: usize,
    // The beginning of a trailer's name, in lower case.
    name: [u8; LONGEST_NAME],
    name_length: usize,
}

/// What comes next.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
enum At {
    #[default]
    Size,
    /// White space after a size, which only an extension may follow.
    SizeSpace,
    Extension,
    SizeLf,
    Data,
    DataCr,
    DataLf,
    /// A trailer, or the empty line that ends the body.
    Line,
    Name,
    Value,
    ValueLf,
    LastLf,
    Done,
}

impl Chunks {
    /// Reads on; how many of `bytes` belong to the body.
    pub(super) fn follow(&mut self, bytes: &[u8]) -> Result<usize, BadChunks> {
        let mut used = 0;
        while let Some(rest) = bytes.get(used..)
            && let Some(byte) = rest.first()
        {
            match self.at {
                At::Done => break,
                At::Data => {
                    let come = rest.len().min(usize::try_from(self.left).unwrap_or(usize::MAX));
                    self.left -= come as u64;
                    used += come;
                    if self.left == 0 {
                        self.at = At::DataCr;
                    }
                }
                _ => {
                    self.at = self.step(*byte)?;
                    used += 1;
                }
            }
        }
        Ok(used)
    }

    /// Whether the body has come to its end.
    pub(super) fn is_done(&self) -> bool {
        self.at == At::Done
    }

    /// What comes after one byte of framing.
    fn step(&mut self, byte: u8) -> Result<At, BadChunks> {
        let has_size = self.digits > 0;
        match (self.at, byte) {
            (At::Size, byte) if byte.is_ascii_hexdigit() => self.add_digit(byte),
            (At::Size | At::SizeSpace, b' ' | b'\t') if has_size => self.extend(At::SizeSpace),
            (At::Size | At::SizeSpace, b';') if has_size => self.extend(At::Extension),
            (At::Size, b'\r') if has_size => Ok(At::SizeLf),
            (At::Extension, b'\r') => Ok(At::SizeLf),
            (At::Extension, byte) if is_text(byte) => self.extend(At::Extension),
            (At::SizeLf, b'\n') => {
                self.digits = 0;
                Ok(if self.left == 0 { At::Line } else { At::Data })
            }
            (At::DataCr, b'\r') => Ok(At::DataLf),
            (At::DataLf, b'\n') => Ok(At::Size),
            (At::Line, b'\r') => Ok(At::LastLf),
            (At::LastLf, b'\n') => Ok(At::Done),
            (At::Line | At::Name, byte) if is_token(byte) => self.add_to_name(byte),
            (At::Name, b':') => self.end_name(),
            (At::Value, b'\r') => Ok(At::ValueLf),
            (At::Value, byte) if is_text(byte) => self.trail(At::Value),
            (At::ValueLf, b'\n') => Ok(At::Line),
            _ => Err(BadChunks),
        }
    }

    fn add_digit(&mut self, digit: u8) -> Result<At, BadChunks> {
        let value = char::from(digit).to_digit(16).ok_or(BadChunks)?;
        self.digits += 1;
        if self.digits > MOST_DIGITS {
            return Err(BadChunks);
        }
        // At most 60 bits; it is 0 where a size begins.
        self.left = self.left * 16 + u64::from(value);
        Ok(At::Size)
    }

    fn extend(&mut self, at: At) -> Result<At, BadChunks> {
        self.extensions += 1;
        if self.extensions > MOST_EXTENSIONS { Err(BadChunks) } else { Ok(at) }
    }

    fn trail(&mut self, at: At) -> Result<At, BadChunks> {
        self.trailers += 1;
        if self.trailers > MOST_TRAILERS { Err(BadChunks) } else { Ok(at) }
    }

    fn add_to_name(&mut self, byte: u8) -> Result<At, BadChunks> {
        if self.at == At::Line {
            self.name_length = 0;
        }
        if let Some(place) = self.name.get_mut(self.name_length) {
            *place = byte.to_ascii_lowercase();
            self.name_length += 1;
        }
        self.trail(At::Name)
    }

    fn end_name(&mut self) -> Result<At, BadChunks> {
        let name = self.name.get(..self.name_length).unwrap_or_default();
        if is_forbidden(name) {
            return Err(BadChunks);
        }
        self.trail(At::Value)
    }
}

/// Whether no trailer may have this name, which is in lower case.
pub(super) fn is_forbidden(name: &[u8]) -> bool {
    FORBIDDEN.contains(&name)
}

/// What may stand in a value (RFC 9110 §5.5).
fn is_text(byte: u8) -> bool {
    matches!(byte, b'\t' | 0x20..=0x7e | 0x80..)
}

/// What may stand in a name (RFC 9110 §5.6.2).
fn is_token(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || b"!#$%&'*+-.^_`|~".contains(&byte)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// What became of a body, read in pieces of `step` bytes.
    fn read(bytes: &[u8], step: usize) -> Result<(usize, bool), BadChunks> {
        let (mut chunks, mut used) = (Chunks::default(), 0);
        for piece in bytes.chunks(step) {
            used += chunks.follow(piece)?;
        }
        Ok((used, chunks.is_done()))
    }

    /// However it is cut, a body ends `expected` bytes from its beginning; none
    /// if it is not over.
    fn check(body: &str, expected: Result<Option<usize>, BadChunks>) {
        let bytes = body.as_bytes();
        let expected = expected.map(|end| (end.unwrap_or(bytes.len()), end.is_some()));
        for step in 1..=bytes.len() {
            assert_eq!(read(bytes, step), expected, "{body:?} in steps of {step}");
        }
        for cut in 0..=bytes.len() {
            let mut chunks = Chunks::default();
            let (first, second) = bytes.split_at(cut);
            let used = chunks.follow(first).and_then(|a| Ok(a + chunks.follow(second)?));
            assert_eq!(
                used.map(|used| (used, chunks.is_done())),
                expected,
                "{body:?} cut at {cut}"
            );
        }
    }

    #[test]
    fn bodies_end_where_their_last_chunk_does() {
        check("0\r\n\r\n", Ok(Some(5)));
        check("0\r\n\r\nGET / HTTP/1.1\r\n", Ok(Some(5)));
        check("3\r\nabc\r\n0\r\n\r\n", Ok(Some(13)));
        check("3\r\nabc\r\n0\r\n\r\n0\r\n\r\n", Ok(Some(13)));
        check("003\r\n\r\n0\r\n000\r\n\r\n", Ok(Some(17)));
        check("a\r\n0123456789\r\n", Ok(None));
        check("A\r\n0123456789\r\n0\r\n", Ok(None));
        check("0\r\n\r", Ok(None));
        check("fffffffffffffff\r\nx", Ok(None));
    }

    #[test]
    fn extensions_and_trailers_belong_to_a_body() {
        check("1;a=b\r\nx\r\n0 ;c=\"d e\"\r\n\r\nrest", Ok(Some(24)));
        check("0\r\nx-sum: 1\r\ny:\r\n\r\n", Ok(Some(19)));
        check("0\r\nx-a-name-longer-than-any-forbidden-one: 1\r\n\r\n", Ok(Some(48)));
        check("0\r\nhosts: 1\r\nhos: 1\r\n\r\n", Ok(Some(23)));
    }

    #[test]
    fn what_has_two_readings_is_refused() {
        for body in [
            // No size at all is not a size of 0.
            "\r\n\r\n",
            "3\r\nabc\r\n\r\n\r\n",
            ";a\r\n",
            " 3\r\nabc\r\n",
            "3 \r\nabc\r\n",
            "3 4\r\nabc\r\n",
            "0x3\r\nabc\r\n",
            "+3\r\nabc\r\n",
            "3_0\r\n",
            "\u{663}\r\n",
            "1000000000000000\r\n",
            // Lines end with CR LF, and no CR or LF stands anywhere else.
            "3\nabc\n0\n\n",
            "3\r\nabc\n0\r\n\r\n",
            "3\rabc",
            "3;a\nabc\r\n",
            "3;a\rb\r\n",
            "3;\0\r\n",
            "3\r\nabcd\r\n0\r\n\r\n",
            "0\r\n\n",
            "0\r\n\rX",
            // Trailers.
            "0\r\nGET / HTTP/1.1\r\n\r\n",
            "0\r\n: x\r\n\r\n",
            "0\r\na : x\r\n\r\n",
            "0\r\na: x\r\n folded\r\n\r\n",
            "0\r\na: x\ny: z\r\n\r\n",
            "0\r\na: \0\r\n\r\n",
            "0\r\na\r\n\r\n",
            "0\r\ncontent-length: 3\r\n\r\n",
            "0\r\nx: y\r\nTransfer-Encoding: chunked\r\n\r\n",
            "0\r\nHOST: a\r\n\r\n",
        ] {
            check(body, Err(BadChunks));
        }
    }

    #[test]
    fn extensions_and_trailers_are_bounded() {
        let lengths = |most: usize| [(most, true), (most + 1, false)];
        for (length, is_good) in lengths(MOST_EXTENSIONS) {
            let one = format!("1;{}\r\nx\r\n", "e".repeat(length - 1));
            assert_eq!(read(one.as_bytes(), 4096).is_ok(), is_good, "{length}");
        }
        let many = "1;ee\r\nx\r\n".repeat(MOST_EXTENSIONS / 3 + 1);
        assert_eq!(read(many.as_bytes(), 4096), Err(BadChunks));
        for (length, is_good) in lengths(MOST_TRAILERS) {
            let trailer = format!("0\r\na:{}\r\n\r\n", "v".repeat(length - 2));
            assert_eq!(read(trailer.as_bytes(), 4096).is_ok(), is_good, "{length}");
        }
    }

    #[test]
    fn mutations_neither_panic_nor_read_differently_in_pieces() {
        let mut random = fastrand::Rng::with_seed(11);
        let seed = b"3;a=b\r\nabc\r\n1F\r\n0123456789012345678901234567890\r\n0\r\na: b\r\n\r\nGET";
        for _ in 0..50_000 {
            let mut bytes = seed.to_vec();
            for _ in 0..random.usize(1..4) {
                let at = random.usize(..bytes.len());
                match random.u8(..3) {
                    0 => bytes[at] = random.u8(..),
                    1 => bytes.insert(at, b"0a;\r\n: x"[random.usize(..8)]),
                    _ => drop(bytes.remove(at)),
                }
            }
            assert_eq!(read(&bytes, 1), read(&bytes, bytes.len()), "{bytes:?}");
        }
    }
}
