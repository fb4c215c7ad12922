//! Makes a body smaller piece by piece; each piece can be read at once.

use std::fmt;
use std::io::{self, Write};
use std::mem;
use std::sync::Mutex;

use brotli::CompressorWriter;
use bytes::Bytes;
use flate2::write::GzEncoder;
use zstd::stream::write::Encoder as ZstdEncoder;

use crate::encoding::Coding;

use super::turns::Turn;

/// How far back zstd and brotli look: 512 KiB.
///
/// An encoder then holds, measured, 3 MiB at level 4 and at most 11 MiB (zstd
/// at 9); gzip holds 0.4 MiB. Decoders must allow far more: 8 MB for zstd
/// (RFC 9659), 16 MB for brotli.
const WINDOW_LOG: u32 = 19;

/// Above this, brotli's tables take 8 to 32 MiB for a few percent.
const BEST_BROTLI: u8 = 6;

/// What brotli hands on at a time.
const BROTLI_BUFFER: usize = 4096;

/// How hard to compress, from 1 to 9, with the meaning that gzip gave it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Level(u8);

impl Level {
    pub(super) fn new(level: u8) -> Option<Level> {
        (1..=9).contains(&level).then_some(Level(level))
    }
}

/// A body on its way through a coding.
pub(crate) struct Encoder {
    // Given back with the memory.
    _turn: Turn,
    // Never locked: a Mutex makes it Sync, as contexts of requests must be and
    // zstd's state is not.
    state: Mutex<State>,
}

enum State {
    Zstd(ZstdEncoder<'static, Vec<u8>>),
    Brotli(Box<CompressorWriter<Vec<u8>>>),
    Gzip(Box<GzEncoder<Vec<u8>>>),
}

impl Encoder {
    pub(super) fn new(coding: Coding, level: Level, turn: Turn) -> io::Result<Encoder> {
        let Level(level) = level;
        let state = match coding {
            Coding::Zstd => {
                let mut encoder = ZstdEncoder::new(Vec::new(), i32::from(level))?;
                encoder.window_log(WINDOW_LOG)?;
                State::Zstd(encoder)
            }
            Coding::Brotli => {
                let quality = u32::from(level.min(BEST_BROTLI));
                let encoder = CompressorWriter::new(Vec::new(), BROTLI_BUFFER, quality, WINDOW_LOG);
                State::Brotli(Box::new(encoder))
            }
            Coding::Gzip => {
                let level = flate2::Compression::new(u32::from(level));
                State::Gzip(Box::new(GzEncoder::new(Vec::new(), level)))
            }
        };
        Ok(Encoder { _turn: turn, state: Mutex::new(state) })
    }

    /// Encodes a piece; what comes back can be decoded without the next one.
    ///
    /// Waiting for more would make pieces smaller, but a page that a server
    /// sends bit by bit would stand still at the client.
    pub(crate) fn write(&mut self, piece: &[u8]) -> io::Result<Bytes> {
        if piece.is_empty() {
            return Ok(Bytes::new());
        }
        let state = self.state.get_mut().map_err(|_| poisoned())?;
        let encoded = match state {
            State::Zstd(encoder) => {
                write_through(encoder, piece)?;
                encoder.get_mut()
            }
            State::Brotli(encoder) => {
                write_through(encoder, piece)?;
                encoder.get_mut()
            }
            State::Gzip(encoder) => {
                write_through(encoder, piece)?;
                encoder.get_mut()
            }
        };
        Ok(mem::take(encoded).into())
    }

    /// Ends the body; what comes back is its last piece.
    pub(crate) fn finish(self) -> io::Result<Bytes> {
        let encoded = match self.state.into_inner().map_err(|_| poisoned())? {
            State::Zstd(encoder) => encoder.finish()?,
            State::Brotli(encoder) => encoder.into_inner(),
            State::Gzip(encoder) => encoder.finish()?,
        };
        Ok(encoded.into())
    }
}

impl fmt::Debug for Encoder {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Encoder").finish_non_exhaustive()
    }
}

fn write_through(encoder: &mut impl Write, piece: &[u8]) -> io::Result<()> {
    encoder.write_all(piece)?;
    encoder.flush()
}

fn poisoned() -> io::Error {
    io::Error::other("an encoder panicked before")
}

#[cfg(test)]
mod tests {
    use std::io::Read;
    use std::sync::Arc;

    use super::super::turns::Turns;
    use super::*;

    fn encoder(coding: Coding, level: u8) -> Encoder {
        let turn = Arc::new(Turns::default()).take().expect("the first");
        Encoder::new(coding, Level::new(level).expect("a level"), turn).expect("an encoder")
    }

    /// What a client can read of what has come so far, and whether that is all.
    fn decode(coding: Coding, encoded: &[u8]) -> (Vec<u8>, bool) {
        let mut reader: Box<dyn Read> = match coding {
            Coding::Zstd => {
                let mut decoder = zstd::stream::read::Decoder::new(encoded).expect("a decoder");
                // What RFC 9659 lets decoders refuse.
                decoder.window_log_max(23).expect("a window");
                Box::new(decoder)
            }
            Coding::Brotli => Box::new(brotli::Decompressor::new(encoded, 4096)),
            Coding::Gzip => Box::new(flate2::read::GzDecoder::new(encoded)),
        };
        let mut decoded = Vec::new();
        let mut buffer = [0; 4096];
        loop {
            match reader.read(&mut buffer) {
                Ok(0) => return (decoded, true),
                Ok(length) => decoded.extend_from_slice(&buffer[..length]),
                Err(_) => return (decoded, false),
            }
        }
    }

    /// Text that repeats itself, though not at once.
    fn text(length: usize) -> Vec<u8> {
        let words = (0..).flat_map(|n: u64| format!("line {} of {n}; ", n * n % 977).into_bytes());
        words.take(length).collect()
    }

    #[test]
    fn each_piece_can_be_read_before_the_next() {
        for coding in Coding::ALL {
            let mut encoder = encoder(coding, 4);
            let (mut written, mut encoded) = (Vec::new(), Vec::new());
            for length in [1, 20, 3, 70_000, 1, 300_000] {
                let piece = text(length);
                written.extend_from_slice(&piece);
                encoded.extend_from_slice(&encoder.write(&piece).expect("encoded"));
                assert!(
                    decode(coding, &encoded) == (written.clone(), false),
                    "{coding:?} {length}"
                );
            }
            assert!(encoder.write(b"").expect("encoded").is_empty());
            encoded.extend_from_slice(&encoder.finish().expect("finished"));
            assert!(decode(coding, &encoded) == (written, true), "{coding:?}");
        }
    }

    #[test]
    fn whole_bodies_survive_every_level_and_shrink() {
        let body = text(300_000);
        for coding in Coding::ALL {
            for level in 1..=9 {
                let mut encoder = encoder(coding, level);
                let mut encoded = Vec::new();
                for piece in body.chunks(64 * 1024) {
                    encoded.extend_from_slice(&encoder.write(piece).expect("encoded"));
                }
                encoded.extend_from_slice(&encoder.finish().expect("finished"));
                assert!(encoded.len() < body.len() / 2, "{coding:?} {level}: {}", encoded.len());
                assert!(decode(coding, &encoded) == (body.clone(), true), "{coding:?} {level}");
            }
        }
    }

    #[test]
    fn an_empty_body_is_a_whole_one() {
        for coding in Coding::ALL {
            let encoded = encoder(coding, 4).finish().expect("finished");
            assert_eq!(decode(coding, &encoded), (Vec::new(), true), "{coding:?}");
        }
    }

    #[test]
    fn an_encoder_fits_into_the_context_of_a_request() {
        fn is_send_and_sync<T: Send + Sync>() {}
        is_send_and_sync::<Encoder>();
    }

    #[test]
    fn levels_are_one_to_nine() {
        let good: Vec<u8> = (0..=255).filter(|level| Level::new(*level).is_some()).collect();
        assert_eq!(good, (1..=9).collect::<Vec<_>>());
    }
}
