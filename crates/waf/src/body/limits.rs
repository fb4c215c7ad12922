/// How much of one body is read and kept; past any of these it is refused, never read in part.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Limits {
    /// One value, bytes.
    pub(crate) value_bytes: usize,
    /// Named values.
    pub(crate) fields: usize,
    /// Parts of a multipart body, files and fields together.
    pub(crate) parts: usize,
    /// Files of a multipart body; more are a flag and not a fault.
    pub(crate) files: usize,
    /// Header lines of one part.
    pub(crate) part_headers: usize,
    /// One header of a part, bytes, with the lines it is folded into.
    pub(crate) header_bytes: usize,
    /// Objects and arrays, or elements, inside each other.
    pub(crate) depth: usize,
    /// The name of one value in a tree, bytes.
    pub(crate) name_bytes: usize,
    /// The names of all values in a tree, bytes: each repeats those above it.
    pub(crate) names_bytes: usize,
    /// A body without its content codings, bytes.
    pub(crate) decoded_bytes: usize,
    /// How many times longer it may be than with them.
    pub(crate) ratio: usize,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            value_bytes: 1 << 20,
            fields: 1_000,
            parts: 1_000,
            files: 100,
            part_headers: 64,
            header_bytes: 4_096,
            depth: 512,
            name_bytes: 8 << 10,
            names_bytes: 1 << 20,
            decoded_bytes: 8 << 20,
            ratio: 200,
        }
    }
}
