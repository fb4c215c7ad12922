//! One content coding.

use std::fmt;

use brotli_decompressor::{BrotliDecompressStream, BrotliResult, BrotliState, StandardAlloc};
use flate2::{Crc, Decompress, FlushDecompress, Status};
use zstd::stream::raw::{DParameter, Operation};

use super::DecodeError;

/// RFC 9659: what a server must be able to look back, and so all that it may be asked for.
const ZSTD_WINDOW_LOG: u32 = 23;

pub(super) enum Coding {
    Gzip(Box<Gzip>),
    Deflate(Deflate),
    Brotli(Box<Brotli>),
    Zstd(Zstd),
}

/// What one call has done.
pub(super) struct Step {
    pub(super) read: usize,
    pub(super) written: usize,
}

impl Coding {
    /// The coding of a name in any case.
    pub(super) fn new(name: &[u8]) -> Option<Self> {
        match &*name.to_ascii_lowercase() {
            b"gzip" | b"x-gzip" => Some(Self::Gzip(Box::new(Gzip::new()))),
            b"deflate" => Some(Self::Deflate(Deflate::Start(Vec::new()))),
            b"br" => Some(Self::Brotli(Box::new(Brotli::new()))),
            b"zstd" => Zstd::new().map(Self::Zstd),
            _ => None,
        }
    }

    /// Decodes some of `input`; less than all of `made` is written only if more input is needed.
    pub(super) fn step(&mut self, input: &[u8], made: &mut [u8]) -> Result<Step, DecodeError> {
        let step = match self {
            Self::Gzip(gzip) => gzip.step(input, made),
            Self::Deflate(deflate) => deflate.step(input, made),
            Self::Brotli(brotli) => brotli.step(input, made),
            Self::Zstd(zstd) => zstd.step(input, made),
        };
        step.map_err(|fault| match fault {
            Fault::Corrupt => DecodeError::Corrupt(self.name()),
            Fault::Trailing => DecodeError::Trailing(self.name()),
        })
    }

    pub(super) fn is_at_end(&self) -> bool {
        match self {
            Self::Gzip(gzip) => gzip.is_at_end(),
            Self::Deflate(deflate) => matches!(deflate, Deflate::End),
            Self::Brotli(brotli) => brotli.is_at_end,
            Self::Zstd(zstd) => zstd.is_at_end,
        }
    }

    pub(super) fn name(&self) -> &'static str {
        match self {
            Self::Gzip(_) => "gzip",
            Self::Deflate(_) => "deflate",
            Self::Brotli(_) => "br",
            Self::Zstd(_) => "zstd",
        }
    }
}

impl fmt::Debug for Coding {
    fn fmt(&self, to: &mut fmt::Formatter<'_>) -> fmt::Result {
        to.write_str(self.name())
    }
}

enum Fault {
    Corrupt,
    Trailing,
}

/// RFC 1952: members, one behind the other.
pub(super) struct Gzip {
    place: Place,
    flags: u8,
    /// How many bytes of the extra field are left.
    extra: u16,
    inflate: Decompress,
    crc: Crc,
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Place {
    /// At this byte of the part of fixed length.
    Header(u8),
    ExtraLength(u8),
    Extra,
    Name,
    Comment,
    HeaderCrc(u8),
    Data,
    /// At this byte of the checksum and the length.
    Trailer(u8),
    End,
}

const HEADER_CRC: u8 = 2;
const EXTRA: u8 = 4;
const NAME: u8 = 8;
const COMMENT: u8 = 16;

impl Gzip {
    fn new() -> Self {
        let inflate = Decompress::new(false);
        Self { place: Place::Header(0), flags: 0, extra: 0, inflate, crc: Crc::new() }
    }

    fn is_at_end(&self) -> bool {
        self.place == Place::End
    }

    fn step(&mut self, input: &[u8], made: &mut [u8]) -> Result<Step, Fault> {
        let mut read = 0;
        while self.place != Place::Data {
            let Some(byte) = input.get(read) else { return Ok(Step { read, written: 0 }) };
            self.place = self.frame(*byte)?;
            read += 1;
        }
        let (step, is_end) = inflate(&mut self.inflate, &input[read..], made)?;
        self.crc.update(&made[..step.written]);
        if is_end {
            self.place = Place::Trailer(0);
        }
        Ok(Step { read: read + step.read, written: step.written })
    }

    /// Reads a byte outside of the data, and tells what is next.
    fn frame(&mut self, byte: u8) -> Result<Place, Fault> {
        let is_valid = match self.place {
            Place::Header(0) => byte == 0x1f,
            Place::Header(1) => byte == 0x8b,
            Place::Header(2) => byte == 8,
            Place::Header(3) => byte < 0x20,
            Place::Trailer(at) => byte == self.trailer()[usize::from(at)],
            _ => true,
        };
        if !is_valid {
            return Err(Fault::Corrupt);
        }
        Ok(match self.place {
            Place::Header(at) => {
                if at == 3 {
                    self.flags = byte;
                }
                if at < 9 { Place::Header(at + 1) } else { self.field(EXTRA) }
            }
            Place::ExtraLength(0) => {
                self.extra = u16::from(byte);
                Place::ExtraLength(1)
            }
            Place::ExtraLength(_) => {
                self.extra |= u16::from(byte) << 8;
                if self.extra == 0 { self.field(NAME) } else { Place::Extra }
            }
            Place::Extra => {
                self.extra -= 1;
                if self.extra == 0 { self.field(NAME) } else { Place::Extra }
            }
            Place::Name if byte == 0 => self.field(COMMENT),
            Place::Comment if byte == 0 => self.field(HEADER_CRC),
            Place::HeaderCrc(0) => Place::HeaderCrc(1),
            Place::HeaderCrc(_) => Place::Data,
            Place::Trailer(at) if at < 7 => Place::Trailer(at + 1),
            Place::Trailer(_) => {
                self.inflate.reset(false);
                self.crc.reset();
                Place::End
            }
            Place::End if byte == 0x1f => Place::Header(1),
            Place::End => return Err(Fault::Trailing),
            Place::Name | Place::Comment | Place::Data => self.place,
        })
    }

    /// The first field from `first` on that the flags announce.
    fn field(&self, first: u8) -> Place {
        let fields = [
            (EXTRA, Place::ExtraLength(0)),
            (NAME, Place::Name),
            (COMMENT, Place::Comment),
            (HEADER_CRC, Place::HeaderCrc(0)),
        ];
        let fields = fields.into_iter().skip_while(|(flag, _)| *flag != first);
        let mut announced = fields.filter(|(flag, _)| self.flags & flag != 0);
        announced.next().map_or(Place::Data, |(_, place)| place)
    }

    fn trailer(&self) -> [u8; 8] {
        let [a, b, c, d] = self.crc.sum().to_le_bytes();
        let [e, f, g, h] = self.crc.amount().to_le_bytes();
        [a, b, c, d, e, f, g, h]
    }
}

/// RFC 1950, or RFC 1951 alone, which some clients send in its place.
pub(super) enum Deflate {
    /// The first two bytes tell which it is.
    Start(Vec<u8>),
    Inside(Box<Decompress>),
    End,
}

impl Deflate {
    fn step(&mut self, input: &[u8], made: &mut [u8]) -> Result<Step, Fault> {
        match self {
            Self::Start(start) => {
                let read = input.len().min(2 - start.len());
                start.extend_from_slice(&input[..read]);
                let [first, second] = start[..] else { return Ok(Step { read, written: 0 }) };
                let is_zlib = first & 0x8f == 8 && u16::from_be_bytes([first, second]) % 31 == 0;
                *self = Self::Inside(Box::new(Decompress::new(is_zlib)));
                let step = self.step(&[first, second], made)?;
                if step.read < 2 { Err(Fault::Corrupt) } else { Ok(Step { read, ..step }) }
            }
            Self::Inside(decompress) => {
                let (step, is_end) = inflate(decompress, input, made)?;
                if is_end {
                    *self = Self::End;
                }
                Ok(step)
            }
            Self::End if input.is_empty() => Ok(Step { read: 0, written: 0 }),
            Self::End => Err(Fault::Trailing),
        }
    }
}

/// Tells also whether the data have ended.
fn inflate(
    decompress: &mut Decompress,
    input: &[u8],
    made: &mut [u8],
) -> Result<(Step, bool), Fault> {
    let (total_in, total_out) = (decompress.total_in(), decompress.total_out());
    let status = decompress.decompress(input, made, FlushDecompress::None);
    let status = status.map_err(|_| Fault::Corrupt)?;
    let since = |now: u64, then| usize::try_from(now - then).map_err(|_| Fault::Corrupt);
    let read = since(decompress.total_in(), total_in)?;
    let written = since(decompress.total_out(), total_out)?;
    Ok((Step { read, written }, status == Status::StreamEnd))
}

/// RFC 7932.
pub(super) struct Brotli {
    state: BrotliState<StandardAlloc, StandardAlloc, StandardAlloc>,
    is_at_end: bool,
}

impl Brotli {
    fn new() -> Self {
        let alloc = StandardAlloc::default;
        // Strict: without the windows of up to 1 GiB that are no part of the RFC.
        Self { state: BrotliState::new_strict(alloc(), alloc(), alloc()), is_at_end: false }
    }

    fn step(&mut self, input: &[u8], made: &mut [u8]) -> Result<Step, Fault> {
        if self.is_at_end {
            let nothing = Step { read: 0, written: 0 };
            return if input.is_empty() { Ok(nothing) } else { Err(Fault::Trailing) };
        }
        // Byte by byte, whatever comes: where it is given more, it checks less, and takes streams that
        // are none.
        let input = input.get(..1).unwrap_or(input);
        let (mut left, mut read) = (input.len(), 0);
        let (mut room, mut written) = (made.len(), 0);
        let mut total = 0;
        let result = BrotliDecompressStream(
            &mut left,
            &mut read,
            input,
            &mut room,
            &mut written,
            made,
            &mut total,
            &mut self.state,
        );
        match result {
            BrotliResult::ResultFailure => return Err(Fault::Corrupt),
            BrotliResult::ResultSuccess => self.is_at_end = true,
            BrotliResult::NeedsMoreInput | BrotliResult::NeedsMoreOutput => {}
        }
        Ok(Step { read, written })
    }
}

/// RFC 8878: frames, one behind the other.
pub(super) struct Zstd {
    decoder: zstd::stream::raw::Decoder<'static>,
    is_at_end: bool,
}

impl Zstd {
    fn new() -> Option<Self> {
        let mut decoder = zstd::stream::raw::Decoder::new().ok()?;
        decoder.set_parameter(DParameter::WindowLogMax(ZSTD_WINDOW_LOG)).ok()?;
        Some(Self { decoder, is_at_end: false })
    }

    fn step(&mut self, input: &[u8], made: &mut [u8]) -> Result<Step, Fault> {
        if self.is_at_end && input.is_empty() {
            return Ok(Step { read: 0, written: 0 });
        }
        let fault = if self.is_at_end { Fault::Trailing } else { Fault::Corrupt };
        let done = self.decoder.run_on_buffers(input, made).map_err(|_| fault)?;
        self.is_at_end = done.remaining == 0;
        Ok(Step { read: done.bytes_read, written: done.bytes_written })
    }
}
