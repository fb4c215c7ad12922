//! Bodies that are not read to their end, or may be read in two ways.

use super::*;

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
