mod chunks;
mod faults;

use super::*;

const CONTENT_TYPE: &[u8] = b"multipart/form-data; boundary=b";

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
