use super::*;
use crate::body::fixture::{Dice, check_linear};

const CONTENT_TYPE: &[u8] = b"multipart/form-data; boundary=b";

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

fn read(chunks: &[&[u8]]) -> Form {
    read_within(chunks, &Limits::default())
}

fn read_within(chunks: &[&[u8]], limits: &Limits) -> Form {
    let mut multipart = Multipart::new(CONTENT_TYPE, limits).unwrap();
    for chunk in chunks {
        multipart.feed(chunk);
    }
    multipart.finish()
}

/// The fields, files and headers of `body`, each in one line.
fn show(form: &Form) -> Vec<String> {
    let fields = form
        .fields
        .iter()
        .map(|field| format!("{}={}", field.name.escape_ascii(), field.value.escape_ascii()));
    let files = form.files.iter().map(|file| {
        let extended = file.extended.iter().map(|name| format!("|{}", name.escape_ascii()));
        let extended: String = extended.collect();
        let (name, filename) = (file.name.escape_ascii(), file.filename.escape_ascii());
        format!("{name}: {filename}{extended} {}", file.bytes)
    });
    fields.chain(files).collect()
}

#[track_caller]
fn check(body: &str, expected: &[&str], flags: Flags, fault: Option<MultipartError>) {
    let form = read(&[body.as_bytes()]);
    assert_eq!(show(&form), expected, "{}", body.escape_debug());
    assert_eq!(form.flags, flags, "{}", body.escape_debug());
    assert_eq!(form.fault, fault, "{}", body.escape_debug());
}

/// A body of one field `a`, whose headers end in `headers`.
fn field(headers: &str, value: &str) -> String {
    format!("--b\r\nContent-Disposition: form-data; name=a\r\n{headers}\r\n{value}\r\n--b--\r\n")
}

const CRLF: Flags = Flags {
    boundary_quoted: false,
    boundary_whitespace: false,
    data_before: false,
    data_after: false,
    header_folding: false,
    lf_line: false,
    crlf_line: true,
    missing_semicolon: false,
    invalid_quoting: false,
    invalid_part: false,
    invalid_header_folding: false,
    file_limit_exceeded: false,
    unmatched_boundary: false,
};

#[test]
fn reads_fields_and_counts_files() {
    let body = "--b\r\nContent-Disposition: form-data; name=\"a\"\r\n\r\n1\r\n2\r\n\
                --b\r\nContent-disposition: form-data; name=f; filename=x.txt\r\n\
                Content-Type: text/plain\r\n\r\n\r\n123\r\n\r\n\
                --b\r\nContent-Disposition: form-data; name=f; filename=\"\"\r\n\r\n\r\n\
                --b\r\nContent-Disposition: form-data; name=a\r\n\r\n\r\n--b--\r\n";
    check(body, &["a=1\\r\\n2", "a=", "f: x.txt 7", "f:  0"], CRLF, None);
    let form = read(&[body.as_bytes()]);
    assert_eq!(form.files_bytes(), 7);
    assert!(!form.is_strict_error());
    assert_eq!(form.headers[1].name, b"f");
    let lines: [&[u8]; 2] =
        [b"Content-disposition: form-data; name=f; filename=x.txt", b"Content-Type: text/plain"];
    assert_eq!(form.headers[1].lines, lines);
}

#[test]
fn what_a_file_without_a_name_holds_is_a_field_too() {
    let head = "--b\r\nContent-Disposition: form-data; name=a";
    for (extended, told) in [("", ""), ("; filename*=utf-8''x", "|x")] {
        let body = format!("{head}; filename=\"\"{extended}\r\n\r\n12\r\n--b--\r\n");
        check(&body, &["a=12", &format!("a: {told} 2")], CRLF, None);
        let form = Multipart::new(b"multipart/form-data; boundary=b", &Limits::default());
        let mut form = form.unwrap();
        form.feed(body.as_bytes());
        assert_eq!(form.inspected(), body.len() as u64);
    }
}

#[test]
fn an_empty_body_has_no_fault() {
    check("", &[], Flags::default(), None);
    check("--b--\r\n", &[], CRLF, None);
}

#[test]
fn the_last_boundary_needs_no_line_end() {
    let body = field("", "1");
    check(body.trim_end(), &["a=1"], CRLF, None);
}

#[test]
fn text_outside_of_parts_is_a_flag() {
    let body = field("", "1");
    let before = Flags { data_before: true, ..CRLF };
    check(&format!("\r\n{body}"), &["a=1"], before, None);
    let after = Flags { data_after: true, ..CRLF };
    check(&format!("{body}x"), &["a=1"], after, None);
    let form = read(&[body.as_bytes(), b"x"]);
    assert_eq!(form.flags, after);
}

#[test]
fn bare_line_feeds_are_flags_of_boundaries_and_headers() {
    let lf = Flags { lf_line: true, ..CRLF };
    check(&field("", "1\n2"), &["a=1\\n2"], CRLF, None);
    check(&field("X: y\n", "1"), &["a=1"], lf, None);
    check(&field("", "1").replace("\r\n--b--", "\n--b--"), &["a=1"], lf, None);
    check(&field("", "1").replace("--b--\r\n", "--b--\n"), &["a=1"], lf, None);
    let only = Flags { lf_line: true, ..Flags::default() };
    let form = read(&[field("", "1").replace('\r', "").as_bytes()]);
    assert_eq!(form.flags, only);
    assert!(!form.flags.is_mixed());
    assert!(lf.is_mixed());
}

#[test]
fn folded_headers_are_joined_and_a_flag() {
    let folded = Flags { header_folding: true, ..CRLF };
    let form = read(&[field("X:  y\r\n \t z\r\n", "1").as_bytes()]);
    assert_eq!(form.flags, folded);
    assert_eq!(form.headers[0].lines[1], b"X:  y z");
    let invalid = Flags { invalid_header_folding: true, ..folded };
    let body = field("\u{b}x\r\n", "1").replace("=a\r\n", "=a;\r\n");
    let fault = MultipartError::Disposition(DispositionError::Cut);
    check(&body, &[], Flags { invalid_part: true, ..invalid }, Some(fault));
    check(&field("X: y\r\n \u{b}z\r\n", "1"), &["a=1"], invalid, None);
}

#[test]
fn a_boundary_without_a_line_before_it_is_an_invalid_part() {
    let body = "--b\r\nContent-Disposition: form-data; name=a\r\n\r\n--b\r\n\r\n--b--\r\n";
    let flags = Flags { invalid_part: true, ..CRLF };
    check(body, &["a=--b\\r\\n"], flags, None);
    check("--b\r\nContent-Disposition: form-data; name=a\r\n\r\n--b--", &["a="], flags, None);
    check("--b\r\n--b\r\n", &[], flags, Some(MultipartError::NoColon));
}

#[test]
fn lines_that_resemble_a_boundary_are_a_flag_or_a_fault() {
    let flags = Flags { unmatched_boundary: true, ..CRLF };
    for value in ["--c", "1\r\n-- \r\n", "x --b", "-- c"] {
        let form = read(&[field("", value).as_bytes()]);
        assert_eq!((form.flags, form.fault), (flags, None), "{value}");
    }
    for value in ["--", "-", "-b", "x -b"] {
        let form = read(&[field("", value).replace("\r\n--b--", "\n--b--").as_bytes()]);
        assert!(!form.flags.unmatched_boundary || value == "--", "{value}");
    }
    for (value, fault) in [
        ("1\r\n--bx", MultipartError::InvalidBoundaryLine),
        ("1\r\n--b-", MultipartError::InvalidBoundaryLine),
        ("1\r\n--b--x", MultipartError::InvalidBoundaryLine),
        ("1\r\n--b ", MultipartError::InvalidBoundaryLine),
        ("1\r\n-- b", MultipartError::SpacedBoundary),
    ] {
        assert_eq!(read(&[field("", value).as_bytes()]).fault, Some(fault), "{value}");
    }
    let mut quoted =
        Multipart::new(b"multipart/form-data; boundary=\"b\"", &Limits::default()).unwrap();
    quoted.feed(field("", "1\r\n--\"b\"").as_bytes());
    assert_eq!(quoted.finish().fault, Some(MultipartError::QuotedBoundary));
}

#[test]
fn a_body_without_its_boundaries_is_a_fault() {
    for body in ["x", "a=1&b=2", "--b", "--c\r\n\r\n--c--\r\n"] {
        assert_eq!(read(&[body.as_bytes()]).fault, Some(MultipartError::NoBoundary), "{body}");
    }
    let body = field("", "1");
    for (cut, value) in [("\r\n--b--", "1\\r\\n--b-"), ("1", ""), ("\r\n--b--\r\n", "1\\r\\n--b-")]
    {
        let end = body.rfind(cut).unwrap() + cut.trim_end().len() - 1;
        let form = read(&[&body.as_bytes()[..end]]);
        assert_eq!(form.fault, Some(MultipartError::NoLastBoundary), "{cut:?}");
        assert_eq!(show(&form), [format!("a={value}")], "{cut:?}");
    }
}

#[test]
fn headers_that_servers_read_in_two_ways_are_faults() {
    use MultipartError as E;
    for (headers, fault) in [
        ("x\r\n", E::NoColon),
        (": x\r\n", E::NoHeaderName),
        ("X\0: y\r\n", E::NulInHeader),
        ("X: \0\r\n", E::NulInHeader),
        ("X : y\r\n", E::InvalidHeaderName),
        ("\u{e}X: y\r\n", E::InvalidHeaderName),
        ("X\u{7f}: y\r\n", E::InvalidHeaderName),
        ("content-disposition: form-data; name=b\r\n", E::DuplicateHeader),
        ("X: y\r\nx: z\r\n", E::DuplicateHeader),
    ] {
        let form = read(&[field(headers, "1").as_bytes()]);
        assert_eq!(form.fault, Some(fault), "{}", headers.escape_debug());
        assert!(form.is_strict_error());
    }
    let body = "--b\r\n x: y\r\n";
    assert_eq!(read(&[body.as_bytes()]).fault, Some(E::NothingToFold));
    let body = "--b\r\nX: y\r\n\r\n";
    assert_eq!(read(&[body.as_bytes()]).fault, Some(E::NoDisposition));
    let body = field("", "").replace("; name=a", "");
    let fault = E::Disposition(DispositionError::NoName);
    assert_eq!(read(&[body.as_bytes()]).fault, Some(fault));
    let body = field("", "").replace("name=a", "name=a; filename =b");
    let fault = E::Disposition(DispositionError::HiddenFilename);
    assert_eq!(read(&[body.as_bytes()]).fault, Some(fault));
}

#[test]
fn rules_see_the_header_that_is_a_fault() {
    let form = read(&[field("\u{e}X: y\r\n", "1").as_bytes()]);
    assert_eq!(form.headers[0].name, b"");
    assert_eq!(form.headers[0].lines[1], b"\x0eX: y");
}

#[test]
fn limits_are_faults() {
    let limits = Limits {
        value_bytes: 4,
        fields: 2,
        parts: 3,
        files: 1,
        part_headers: 2,
        header_bytes: 50,
        ..Limits::default()
    };
    let read = |body: &str| read_within(&[body.as_bytes()], &limits);
    assert_eq!(read(&field("", "1\r\n2")).fault, None);
    let form = read(&field("", "1\r\n23"));
    assert_eq!(form.fault, Some(MultipartError::ValueTooLong));
    assert_eq!(show(&form), ["a=1\\r\\n2"]);
    assert_eq!(read(&field("X: y\r\n", "1")).fault, None);
    assert_eq!(read(&field("X: y\r\nY: z\r\n", "1")).fault, Some(MultipartError::TooManyHeaders));
    let long = format!("X: {}\r\n", "x".repeat(48));
    assert_eq!(read(&field(&long, "1")).fault, Some(MultipartError::HeaderTooLong));
    let folded = format!("X: {0}\r\n {0}\r\n", "x".repeat(24));
    assert_eq!(read(&field(&folded, "1")).fault, Some(MultipartError::HeaderTooLong));

    let part = "--b\r\nContent-Disposition: form-data; name=a\r\n\r\n\r\n";
    let file = "--b\r\nContent-Disposition: form-data; name=a;filename=b\r\n\r\n\r\n";
    let file = file.replace("; name", ";name");
    assert_eq!(read(&format!("{part}{part}--b--")).fault, None);
    let form = read(&format!("{part}{part}{part}--b--"));
    assert_eq!(form.fault, Some(MultipartError::TooManyFields));
    let form = read(&format!("{part}{file}{file}--b--"));
    assert_eq!((form.fault, form.flags.file_limit_exceeded), (None, true));
    let form = read(&format!("{part}{part}{file}{file}--b--"));
    assert_eq!(form.fault, Some(MultipartError::TooManyParts));
}

#[test]
fn a_header_must_fit_into_a_segment() {
    for (length, fault) in [(4_080, None), (5_000, Some(MultipartError::HeaderTooLong))] {
        let header = format!("X: {}\r\n", "x".repeat(length));
        assert_eq!(read(&[field(&header, "1").as_bytes()]).fault, fault);
    }
}

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
