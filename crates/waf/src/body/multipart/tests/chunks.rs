//! Bodies that come in pieces, and long ones.

use super::*;
use crate::body::fixture::{Dice, check_linear};

/// Bodies that between them reach every state.
const SAMPLES: [&str; 20] = [
    "",
    "--b--",
    "--b--\r\n",
    "--b\r\nContent-Disposition: form-data; name=\"a\"\r\n\r\n1\r\n--b--\r\n",
    "--b\r\nContent-Disposition: form-data; name=a; filename=f\r\nContent-Type: x/y\r\n\r\n\
     12\r3\n\r\n\r\n--c\r\n-\r\n--b\r\ncontent-disposition: form-data; name=n\r\n\r\n\r\n--b--",
    "--b\nContent-Disposition: form-data; name=a\n\n1\n2\r\n3\n--b--\n",
    "x\r\n--b\r\nContent-Disposition: form-data;\r\n name=a\r\nX: y\r\n\t z\r\n\r\n1\r\n\
     --b--\r\n\r\n",
    "--b\r\nContent-Disposition: form-data; name=a\r\n\r\n--b--\r\n--b--\r\n",
    "--b\r\nContent-Disposition: form-data; name=a\r\n\r\n--b--",
    "--b\r\nContent-Disposition: form-data; name=a\r\n\r\n1\r\n--bb\r\n--b--",
    "--b\r\nContent-Disposition: form-data; name=a\r\n\r\n1\r\n-- b\r\n--b--",
    "--b\r\nContent-Disposition: form-data; name=a\r\n\r\n1--b--\r\n2",
    "--b\r\nContent-Disposition: form-data; name=a\r\n\r\n1\r\n--",
    "--b\r\nX: y\r\n\r\n1\r\n--b--",
    "--b\r\nX: y\r\nx: z\r\n\r\n1\r\n--b--",
    "--b\r\nX y: y\r\n\r\n1\r\n--b--",
    "--b\r\n: y\r\n\r\n1\r\n--b--",
    "--b\r\nX: \0\r\n\r\n1\r\n--b--",
    "--b\r\n X: y\r\n\r\n1\r\n--b--",
    "--b\r\n--b--\r\n",
];

#[test]
fn values_may_be_longer_than_a_segment() {
    for length in SEGMENT_BYTES - 4..SEGMENT_BYTES + 4 {
        for end in ["", "\r", "\n", "\r\n", "\r\n\r"] {
            let value = format!("{}{end}{}", "x".repeat(length), "y".repeat(SEGMENT_BYTES));
            let form = read(&[field("", &value).as_bytes()]);
            assert_eq!(form.fault, None);
            assert!(form.fields[0].value == value.as_bytes(), "{length} {end:?}");
        }
    }
}

#[test]
fn the_feeder_knows_what_is_a_file() {
    let head = "--b\r\nContent-Disposition: form-data; name=a; filename=f\r\n\r\n";
    let tail = "\r\n--b\r\nContent-Disposition: form-data; name=b\r\n\r\n1\r\n--b--\r\n";
    let mut multipart = Multipart::new(CONTENT_TYPE, &Limits::default()).unwrap();
    multipart.feed(&head.as_bytes()[..head.len() - 1]);
    assert!(!multipart.is_in_file());
    multipart.feed(&head.as_bytes()[head.len() - 1..]);
    assert!(multipart.is_in_file());
    assert_eq!(multipart.inspected(), head.len() as u64);
    for _ in 0..1_000 {
        multipart.feed(&[b'x'; 999]);
        multipart.feed(b"\n");
        assert_eq!(multipart.inspected(), head.len() as u64);
    }
    multipart.feed(&tail.as_bytes()[..2]);
    assert!(multipart.is_in_file());
    multipart.feed(&tail.as_bytes()[2..]);
    assert!(!multipart.is_in_file());
    assert_eq!(multipart.inspected(), (head.len() + tail.len() - 2) as u64);
    let form = multipart.finish();
    assert_eq!(form.files[0].bytes, 999_999 + 1);
    assert_eq!(form.fault, None);
}

#[test]
fn chunks_may_be_cut_anywhere() {
    for sample in SAMPLES {
        let sample = sample.as_bytes();
        let whole = read(&[sample]);
        let bytes: Vec<_> = sample.chunks(1).collect();
        assert_eq!(read(&bytes), whole, "{}", sample.escape_ascii());
        for at in 0..=sample.len() {
            let (first, second) = sample.split_at(at);
            assert_eq!(read(&[first, second]), whole, "{} at {at}", sample.escape_ascii());
            for end in at..=sample.len() {
                let (middle, last) = second.split_at(end - at);
                assert_eq!(read(&[first, middle, last]), whole, "{at} {end}");
            }
        }
    }
}

#[test]
fn random_bodies_read_the_same_in_chunks() {
    let pieces: [&[u8]; 16] = [
        b"\r\n",
        b"\n",
        b"\r",
        b"--b",
        b"--b--",
        b"--",
        b"-",
        b"\r\n--b\r\n",
        b"\r\n\r\n",
        b"; ",
        b"filename=",
        b"filename*=utf-8''%41",
        b"\"",
        b"'",
        b"\0",
        b"\\",
    ];
    let mut dice = Dice::new();
    for _ in 0..20_000 {
        let sample = SAMPLES[dice.roll(SAMPLES.len())].as_bytes();
        let body = dice.mutate(sample, &pieces);
        let whole = read(&[&body]);
        let (first, second) = body.split_at(dice.roll(body.len() + 1));
        assert_eq!(read(&[first, second]), whole, "{}", body.escape_ascii());
        let kept: usize = whole.fields.iter().map(|field| field.value.len()).sum();
        assert!(kept <= body.len());
    }
}

#[test]
fn time_is_linear() {
    let limits = Limits {
        parts: usize::MAX,
        fields: usize::MAX,
        part_headers: usize::MAX,
        ..Limits::default()
    };
    let boundary = "-".repeat(900);
    let content_type = format!("multipart/form-data; boundary={boundary}x");
    let head = format!("--{boundary}x\r\nContent-Disposition: form-data; name=a");
    for start in ["", "\r\n\r\n", ";filename=f\r\n\r\n", "\r\n"] {
        for piece in ["-", "-\n", "\r", "\n", "\r\n", "--", "x", " x\r\n", "\0"] {
            check_linear(&format!("{start:?} {piece:?}"), |times| {
                let body = [&head, start, &piece.repeat(times)].concat();
                let mut multipart = Multipart::new(content_type.as_bytes(), &limits).unwrap();
                for chunk in body.as_bytes().chunks(100) {
                    multipart.feed(chunk);
                }
                let form = multipart.finish();
                assert!(
                    form.fields.iter().map(|field| field.value.len()).sum::<usize>() <= times * 4
                );
            });
        }
    }
}
