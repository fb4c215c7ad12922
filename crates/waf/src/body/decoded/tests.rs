use std::io::Write;

use flate2::Compression;
use flate2::write::{DeflateEncoder, GzEncoder, ZlibEncoder};

use super::*;
use crate::body::fixture::Dice;

type Encode = fn(&[u8]) -> Vec<u8>;

const ENCODERS: [(&str, Encode); 6] = [
    ("gzip", gzip),
    ("x-gzip", gzip),
    ("deflate", zlib),
    ("deflate", deflate),
    ("br", brotli),
    ("zstd", zstd),
];

fn gzip(text: &[u8]) -> Vec<u8> {
    let mut encoder = GzEncoder::new(Vec::new(), Compression::default());
    encoder.write_all(text).unwrap();
    encoder.finish().unwrap()
}

fn zlib(text: &[u8]) -> Vec<u8> {
    let mut encoder = ZlibEncoder::new(Vec::new(), Compression::default());
    encoder.write_all(text).unwrap();
    encoder.finish().unwrap()
}

fn deflate(text: &[u8]) -> Vec<u8> {
    let mut encoder = DeflateEncoder::new(Vec::new(), Compression::default());
    encoder.write_all(text).unwrap();
    encoder.finish().unwrap()
}

fn brotli(text: &[u8]) -> Vec<u8> {
    let mut encoder = ::brotli::CompressorWriter::new(Vec::new(), 4_096, 5, 20);
    encoder.write_all(text).unwrap();
    encoder.into_inner()
}

fn zstd(text: &[u8]) -> Vec<u8> {
    ::zstd::encode_all(text, 3).unwrap()
}

fn decode(coding: &str, chunks: &[&[u8]]) -> Result<Vec<u8>, DecodeError> {
    decode_within(coding, chunks, &Limits::default())
}

fn decode_within(coding: &str, chunks: &[&[u8]], limits: &Limits) -> Result<Vec<u8>, DecodeError> {
    let mut decoder = Decoder::new(coding.as_bytes(), limits)?.unwrap();
    let mut out = Vec::new();
    for chunk in chunks {
        decoder.feed(chunk, &mut out)?;
    }
    decoder.finish().map(|()| out)
}

/// Text that is long when encoded too.
fn noise(length: usize) -> Vec<u8> {
    let mut dice = Dice::new();
    (0..length).map(|_| dice.roll(256).to_le_bytes()[0]).collect()
}

#[test]
fn decodes_every_coding_in_any_chunks() {
    for (coding, encode) in ENCODERS {
        for text in [&b""[..], b"x", b"a=1&b=2", &noise(200), &b"ab".repeat(20_000)] {
            let encoded = encode(text);
            let bytes: Vec<_> = encoded.chunks(1).collect();
            assert!(decode(coding, &[&encoded]) == Ok(text.to_vec()), "{coding}");
            assert!(decode(coding, &bytes) == Ok(text.to_vec()), "{coding}");
        }
        assert_eq!(decode(coding, &[]), Ok(Vec::new()), "{coding}");
        assert_eq!(decode(coding, &[b""]), Ok(Vec::new()), "{coding}");
    }
}

#[test]
fn the_last_coding_is_the_outermost() {
    let text = noise(50_000);
    for (first, inner) in ENCODERS {
        for (second, outer) in ENCODERS {
            let encoded = outer(&inner(&text));
            let found = decode(&format!("{first} , identity,{second}"), &[&encoded]);
            assert!(found == Ok(text.clone()), "{first}, {second}");
        }
    }
}

#[test]
fn names_are_read_in_any_case_and_others_refused() {
    let new = |coding: &str| Decoder::new(coding.as_bytes(), &Limits::default());
    for coding in ["", "identity", " , Identity ,"] {
        assert!(matches!(new(coding), Ok(None)), "{coding}");
    }
    for coding in ["GZIP", "X-GZip", "Br", "gzip, br"] {
        assert!(matches!(new(coding), Ok(Some(_))), "{coding}");
    }
    for coding in ["compress", "gzip;q=1", "gzip br", "x", "gzip, x"] {
        assert_eq!(new(coding).err(), Some(DecodeError::Unknown), "{coding}");
    }
    assert_eq!(new("gzip, gzip, gzip").err(), Some(DecodeError::Several));
}

#[test]
fn a_body_that_ends_early_is_a_fault() {
    for (coding, encode) in ENCODERS {
        let name = coding.trim_start_matches("x-");
        let encoded = encode(&noise(300));
        for end in 1..encoded.len() {
            let result = decode(coding, &[&encoded[..end]]);
            assert_eq!(result, Err(DecodeError::Cut(name)), "{coding} {end}");
        }
    }
}

#[test]
fn bytes_behind_the_end_are_a_fault() {
    for (coding, encode) in ENCODERS {
        let name = coding.trim_start_matches("x-");
        let encoded = encode(b"text");
        for chunks in [&[&[&encoded[..], b"x"].concat()[..]][..], &[&encoded, b"x"]] {
            let result = decode(coding, chunks);
            let faults = [DecodeError::Trailing(name), DecodeError::Cut(name)];
            assert!(faults.contains(&result.clone().unwrap_err()), "{coding} {result:?}");
        }
    }
}

#[test]
fn gzip_and_zstd_may_have_several_members() {
    let twice = [gzip(b"one"), gzip(b""), gzip(b"two")].concat();
    assert_eq!(decode("gzip", &[&twice]), Ok(b"onetwo".to_vec()));
    let twice = [zstd(b"one"), zstd(b""), zstd(b"two")].concat();
    assert_eq!(decode("zstd", &[&twice]), Ok(b"onetwo".to_vec()));
}

#[test]
fn gzip_may_have_every_field() {
    let mut encoder = flate2::GzBuilder::new()
        .extra(vec![1; 300])
        .filename("name")
        .comment("comment")
        .write(Vec::new(), Compression::fast());
    encoder.write_all(b"text").unwrap();
    let encoded = encoder.finish().unwrap();
    assert_eq!(decode("gzip", &[&encoded]), Ok(b"text".to_vec()));
    let bytes: Vec<_> = encoded.chunks(1).collect();
    assert_eq!(decode("gzip", &bytes), Ok(b"text".to_vec()));
    // With a checksum of the header too, and with an empty extra field.
    let data = &gzip(b"text")[10..];
    for fields in [&b"\x02\0\0\0\0\0\0ab"[..], b"\x04\0\0\0\0\0\0\0\0"] {
        let encoded = [&b"\x1f\x8b\x08"[..], fields, data].concat();
        assert_eq!(decode("gzip", &[&encoded]), Ok(b"text".to_vec()));
    }
}

#[test]
fn changed_bytes_are_a_fault() {
    let corrupt = DecodeError::Corrupt("gzip");
    let encoded = gzip(b"some text");
    for at in [0, 1, 2, encoded.len() - 8, encoded.len() - 1] {
        let mut changed = encoded.clone();
        changed[at] ^= 1;
        assert_eq!(decode("gzip", &[&changed]), Err(corrupt), "{at}");
    }
    let mut changed = zlib(b"some text");
    *changed.last_mut().unwrap() ^= 1;
    assert_eq!(decode("deflate", &[&changed]), Err(DecodeError::Corrupt("deflate")));
    for (coding, _) in ENCODERS {
        assert!(decode(coding, &[b"a=1&b=some+plain+text"]).is_err(), "{coding}");
    }
}

#[test]
fn a_bomb_is_told_by_the_bound_that_it_breaks() {
    let zeros = vec![0; 4 << 20];
    let limits = Limits { decoded_bytes: 1 << 20, ratio: 50, ..Limits::default() };
    let wide = Limits { ratio: usize::MAX, ..limits };
    for (coding, encode) in ENCODERS {
        let encoded = encode(&zeros);
        let result = decode_within(coding, &[&encoded], &limits);
        assert_eq!(result, Err(DecodeError::Ratio), "{coding}");
        let result = decode_within(coding, &[&encoded], &wide);
        assert_eq!(result, Err(DecodeError::TooLong), "{coding}");
        let both = format!("{coding}, {coding}");
        let result = decode_within(&both, &[&encode(&encoded)], &wide);
        assert_eq!(result, Err(DecodeError::TooLong), "{coding}");
        let mut decoder = Decoder::new(coding.as_bytes(), &limits).unwrap().unwrap();
        let mut out = Vec::new();
        let fault = encoded.chunks(7).find_map(|chunk| decoder.feed(chunk, &mut out).err());
        assert_eq!(fault, Some(DecodeError::Ratio), "{coding}");
        assert!(out.len() <= 1 << 20);
        assert_eq!(decoder.feed(b"x", &mut out), Err(DecodeError::Ratio));
        assert_eq!(decoder.finish(), Err(DecodeError::Ratio));
        // Short bodies may well be one byte many times.
        assert!(decode_within(coding, &[&encode(&zeros[..60_000])], &limits).is_ok());
    }
}

#[test]
fn windows_that_would_need_much_memory_are_refused() {
    let mut encoder = ::zstd::Encoder::new(Vec::new(), 1).unwrap();
    encoder.window_log(27).unwrap();
    encoder.write_all(&noise(1_000)).unwrap();
    let encoded = encoder.finish().unwrap();
    assert_eq!(decode("zstd", &[&encoded]), Err(DecodeError::Corrupt("zstd")));
}

#[test]
fn random_bytes_are_safe() {
    let mut dice = Dice::new();
    let limits = Limits { decoded_bytes: 1 << 17, ..Limits::default() };
    for _ in 0..300 {
        for (coding, encode) in ENCODERS {
            let encoded = encode(&[noise(200), b"text ".repeat(100)].concat());
            let body = dice.mutate(&encoded, &[b"\0\0\0\0", b"\xff\xff", &encoded[..12]]);
            let cut = dice.roll(body.len() + 1);
            let whole = decode_within(coding, &[&body], &limits);
            let halves = decode_within(coding, &[&body[..cut], &body[cut..]], &limits);
            assert_eq!(halves.is_ok(), whole.is_ok(), "{coding}");
            assert!(whole.map_or(0, |text| text.len()) <= 1 << 17);
        }
    }
}

#[test]
fn a_stream_of_brotli_that_is_none_is_refused_however_it_is_cut() {
    // Once it was taken where it came in one piece. The decoder of Google takes it in no case.
    let stream =
        b"\x01\x00\x06\x00\x00\x69\xc8\x71\x1c\xc7\x71\x1c\xc7\xf3\xf3\xf3\xf3\x02\x91\xff\
        \xfe\xff\xff\xff\xff\x69\x01\xff\xff\xff\xff\xff\xff\xf3\xf3\x7c\x00\xff\xff\xff\
        \xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\x01\x01\x2d\x33\x2c\
        \x7b\x7d\x02\x20\x21\x03\x07\x44\x44\x44\x01\x04\x44\xfe\xff\xff\xff\xff\xff\xff\
        \xff\xd1\xd1\xd1\xd1\x44\x44\xd1\xd1\x44\x44\x44\x44\x44\x44\x44\x44\x44\x44\x44\
        \x44\x44\x00\x14\x33\x33\x32\x1e\x1e\x00\xf8\xff\xff\xfb";
    for cut in [1, 2, 50, 97, stream.len()] {
        let pieces: Vec<&[u8]> = stream.chunks(cut).collect();
        assert!(decode("br", &pieces).is_err(), "in pieces of {cut}");
    }
}
