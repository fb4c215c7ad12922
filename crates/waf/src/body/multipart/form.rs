use super::MultipartError;

/// What a body holds, parts in their order.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Form {
    pub fields: Vec<Field>,
    pub files: Vec<File>,
    pub headers: Vec<PartHeaders>,
    pub flags: Flags,
    /// Reading ended here; all before it is in the form, and the part it stands in as far as read.
    pub fault: Option<MultipartError>,
}

impl Form {
    /// `MULTIPART_STRICT_ERROR`.
    #[must_use]
    pub fn is_strict_error(&self) -> bool {
        let flags = &self.flags;
        self.fault.is_some()
            || flags.boundary_quoted
            || flags.boundary_whitespace
            || flags.data_before
            || flags.data_after
            || flags.header_folding
            || flags.lf_line
            || flags.missing_semicolon
            || flags.invalid_quoting
            || flags.invalid_part
            || flags.invalid_header_folding
            || flags.file_limit_exceeded
    }

    /// `FILES_COMBINED_SIZE`.
    #[must_use]
    pub fn files_bytes(&self) -> u64 {
        self.files.iter().map(|file| file.bytes).sum()
    }
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Field {
    pub name: Vec<u8>,
    pub value: Vec<u8>,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub struct File {
    pub name: Vec<u8>,
    pub filename: Vec<u8>,
    /// `filename*`, decoded to UTF-8: servers differ in which of the two they take.
    pub extended: Option<Vec<u8>>,
    pub bytes: u64,
}

/// The headers of one part, which `MULTIPART_PART_HEADERS` knows by its name.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PartHeaders {
    /// Empty where none could be read.
    pub name: Vec<u8>,
    /// As written, without line ends; folded ones are joined by a space.
    pub lines: Vec<Vec<u8>>,
}

/// What servers may read in two ways (`MULTIPART_*`).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Flags {
    pub boundary_quoted: bool,
    pub boundary_whitespace: bool,
    pub data_before: bool,
    pub data_after: bool,
    pub header_folding: bool,
    /// Some line ends in a bare LF.
    pub lf_line: bool,
    /// Some line ends in CRLF, as all should.
    pub crlf_line: bool,
    pub missing_semicolon: bool,
    pub invalid_quoting: bool,
    pub invalid_part: bool,
    pub invalid_header_folding: bool,
    pub file_limit_exceeded: bool,
    /// A line begins with `--` or holds a boundary, and is none.
    pub unmatched_boundary: bool,
}

impl Flags {
    /// `MULTIPART_CRLF_LF_LINES`: line ends of both kinds.
    #[must_use]
    pub fn is_mixed(&self) -> bool {
        self.crlf_line && self.lf_line
    }
}
