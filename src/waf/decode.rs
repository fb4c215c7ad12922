//! Bodies of answers without their codings, for rules that look at them.
//!
//! Servers are asked for none; one that encodes all the same is understood.

use std::io::Read;

use brotli::Decompressor as Brotli;
use flate2::read::{DeflateDecoder, MultiGzDecoder, ZlibDecoder};
use http::HeaderMap;
use http::header::CONTENT_ENCODING;
use zstd::stream::read::Decoder as Zstd;

/// As many codings are taken off one body.
const MOST_CODINGS: usize = 3;
/// How far back zstd may look: 8 MiB, as browsers allow (RFC 9659).
const ZSTD_WINDOW_LOG: u32 = 23;
const BROTLI_BUFFER: usize = 4096;

/// What a body is encoded with.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Coding {
    Gzip,
    Deflate,
    Brotli,
    Zstd,
}

impl Coding {
    fn find(name: &[u8]) -> Option<Coding> {
        Some(match name {
            b"gzip" | b"x-gzip" => Coding::Gzip,
            b"deflate" => Coding::Deflate,
            b"br" => Coding::Brotli,
            b"zstd" => Coding::Zstd,
            _ => return None,
        })
    }

    /// At most this many bytes of what was encoded, as far as it can be read.
    fn decode(self, encoded: &[u8], most: usize) -> Vec<u8> {
        match self {
            Coding::Gzip => read(MultiGzDecoder::new(encoded), most),
            Coding::Deflate if is_zlib(encoded) => read(ZlibDecoder::new(encoded), most),
            // Without its frame, as some servers send it and every browser takes it.
            Coding::Deflate => read(DeflateDecoder::new(encoded), most),
            Coding::Brotli => read(Brotli::new(encoded, BROTLI_BUFFER), most),
            Coding::Zstd => {
                let Ok(mut decoder) = Zstd::with_buffer(encoded) else { return Vec::new() };
                match decoder.window_log_max(ZSTD_WINDOW_LOG) {
                    Ok(()) => read(decoder, most),
                    Err(_) => Vec::new(),
                }
            }
        }
    }
}

/// Whether a body begins as zlib does (RFC 1950 §2.2).
fn is_zlib(encoded: &[u8]) -> bool {
    let [method, flags, ..] = encoded else { return true };
    method & 0xf == 8 && u16::from_be_bytes([*method, *flags]) % 31 == 0
}

/// What comes before a fault, for a beginning of a stream ends in one.
fn read(decoder: impl Read, most: usize) -> Vec<u8> {
    let mut plain = Vec::new();
    let read = decoder.take(most as u64).read_to_end(&mut plain);
    read.map_or_else(|error| ::log::debug!("the coding of an answer: {error}"), |_| ());
    plain
}

/// The codings of a body in the order in which they come off; none where one
/// of them is not known, and the body is judged as it comes.
pub(super) fn codings(headers: &HeaderMap) -> Vec<Coding> {
    let fields = headers.get_all(CONTENT_ENCODING).iter();
    let names = fields.flat_map(|field| field.as_bytes().split(|byte| *byte == b','));
    let names = names.map(|name| name.trim_ascii().to_ascii_lowercase());
    let names = names.filter(|name| !name.is_empty() && name != b"identity");
    let known: Option<Vec<Coding>> = names.map(|name| Coding::find(&name)).collect();
    let mut known = known.filter(|known| known.len() <= MOST_CODINGS).unwrap_or_default();
    known.reverse();
    known
}

/// At most this many bytes of a body without its codings; as it is where it has none of them.
pub(super) fn decode(codings: &[Coding], encoded: &[u8], most: usize) -> Vec<u8> {
    let mut body = encoded.to_vec();
    for coding in codings {
        let plain = coding.decode(&body, most);
        if plain.is_empty() {
            // A server that says so and does not do it.
            break;
        }
        body = plain;
    }
    body
}

#[cfg(test)]
mod tests {
    use std::io::Write;

    use flate2::Compression;
    use flate2::write::{DeflateEncoder, GzEncoder, ZlibEncoder};
    use http::HeaderValue;

    use super::*;

    fn gzip(plain: &[u8]) -> Vec<u8> {
        let mut encoder = GzEncoder::new(Vec::new(), Compression::fast());
        encoder.write_all(plain).expect("a vector");
        encoder.finish().expect("a vector")
    }

    fn zlib(plain: &[u8]) -> Vec<u8> {
        let mut encoder = ZlibEncoder::new(Vec::new(), Compression::fast());
        encoder.write_all(plain).expect("a vector");
        encoder.finish().expect("a vector")
    }

    fn bare(plain: &[u8]) -> Vec<u8> {
        let mut encoder = DeflateEncoder::new(Vec::new(), Compression::fast());
        encoder.write_all(plain).expect("a vector");
        encoder.finish().expect("a vector")
    }

    fn brotli(plain: &[u8]) -> Vec<u8> {
        let mut encoder = brotli::CompressorWriter::new(Vec::new(), BROTLI_BUFFER, 4, 19);
        encoder.write_all(plain).expect("a vector");
        encoder.into_inner()
    }

    fn zstd(plain: &[u8]) -> Vec<u8> {
        zstd::encode_all(plain, 3).expect("a vector")
    }

    fn of(field: &'static str) -> Vec<Coding> {
        let headers = [(CONTENT_ENCODING, HeaderValue::from_static(field))];
        codings(&HeaderMap::from_iter(headers))
    }

    #[test]
    fn every_coding_comes_off_in_its_order() {
        let mut random = fastrand::Rng::with_seed(1);
        let plain: Vec<u8> = (0..400_000).map(|_| random.u8(b'a'..=b'p')).collect();
        for (field, encoded) in [
            ("gzip", gzip(&plain)),
            ("X-GZIP", [gzip(&plain[..99]), gzip(&plain[99..])].concat()),
            ("deflate", zlib(&plain)),
            ("deflate", bare(&plain)),
            ("br", brotli(&plain)),
            ("zstd", zstd(&plain)),
            ("br, gzip", gzip(&brotli(&plain))),
            ("identity", plain.clone()),
        ] {
            assert!(decode(&of(field), &encoded, plain.len() + 1) == plain, "{field}");
            // Of one that breaks off, what comes before; and never more than is asked.
            let cut = decode(&of(field), &encoded[..encoded.len() / 2], 1000);
            assert!(cut.starts_with(&plain[..1000]), "{field}: {}", cut.len());
            assert!(field == "identity" || cut.len() <= 1000, "{field}: {}", cut.len());
        }
    }

    #[test]
    fn what_is_not_so_encoded_is_judged_as_it_comes() {
        assert_eq!(decode(&of("gzip"), b"plain", 9), b"plain");
        for unknown in ["aws-chunked", "gzip, sdch", "gzip, gzip, gzip, gzip"] {
            assert_eq!(of(unknown), [], "{unknown}");
        }
    }

    #[test]
    fn a_bomb_is_no_larger_than_what_is_judged() {
        let bomb = gzip(&vec![b'x'; 64 << 20]);
        assert_eq!(decode(&[Coding::Gzip], &bomb, 1 << 20).len(), 1 << 20);
    }

    #[test]
    fn zstd_looks_back_as_far_as_browsers_do() {
        for (window_log, expected) in [(23, &b"plain"[..]), (24, b"")] {
            let mut encoder = zstd::Encoder::new(Vec::new(), 3).expect("a vector");
            encoder.window_log(window_log).expect("a window");
            encoder.write_all(b"plain").expect("a vector");
            let encoded = encoder.finish().expect("a vector");
            assert_eq!(Coding::Zstd.decode(&encoded, 9), expected, "{window_log}");
        }
    }
}
