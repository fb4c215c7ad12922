use super::MultipartError;

/// What a body holds, parts in their order.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Form {
    pub(crate) fields: Vec<Field>,
    pub(crate) files: Vec<File>,
    pub(crate) headers: Vec<PartHeaders>,
    pub(crate) flags: Flags,
    /// Reading ended here; all before it is in the form, and the part it stands in as far as read.
    pub(crate) fault: Option<MultipartError>,
}

impl Form {
    /// `MULTIPART_STRICT_ERROR`.
    #[must_use]
    pub(crate) fn is_strict_error(&self) -> bool {
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
    pub(crate) fn files_bytes(&self) -> u64 {
        self.files.iter().map(|file| file.bytes).sum()
    }
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Field {
    pub(crate) name: Vec<u8>,
    pub(crate) value: Vec<u8>,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct File {
    pub(crate) name: Vec<u8>,
    pub(crate) filename: Vec<u8>,
    /// `filename*`, decoded to UTF-8: servers differ in which of the two they take.
    pub(crate) extended: Option<Vec<u8>>,
    pub(crate) bytes: u64,
}

/// The headers of one part, which `MULTIPART_PART_HEADERS` knows by its name.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct PartHeaders {
    /// Empty where none could be read.
    pub(crate) name: Vec<u8>,
    /// As written, without line ends; folded ones are joined by a space.
    pub(crate) lines: Vec<Vec<u8>>,
}

/// What servers may read in two ways (`MULTIPART_*`).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Flags {
    pub(crate) boundary_quoted: bool,
    pub(crate) boundary_whitespace: bool,
    pub(crate) data_before: bool,
    pub(crate) data_after: bool,
    pub(crate) header_folding: bool,
    /// Some line ends in a bare LF.
    pub(crate) lf_line: bool,
    /// Some line ends in CRLF, as all should.
    pub(crate) crlf_line: bool,
    pub(crate) missing_semicolon: bool,
    pub(crate) invalid_quoting: bool,
    pub(crate) invalid_part: bool,
    pub(crate) invalid_header_folding: bool,
    pub(crate) file_limit_exceeded: bool,
    /// A line begins with `--` or holds a boundary, and is none.
    pub(crate) unmatched_boundary: bool,
}

impl Flags {
    /// `MULTIPART_CRLF_LF_LINES`: line ends of both kinds.
    #[must_use]
    pub(crate) fn is_mixed(&self) -> bool {
        self.crlf_line && self.lf_line
    }
}
