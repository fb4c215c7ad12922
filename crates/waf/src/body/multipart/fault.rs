use super::{BoundaryError, DispositionError};

/// Why a body is not the form it claims to be.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub(crate) enum MultipartError {
    #[error("multipart: the content type {0}")]
    Boundary(#[from] BoundaryError),
    #[error("multipart: no boundary in the body")]
    NoBoundary,
    #[error("multipart: the last boundary is missing")]
    NoLastBoundary,
    #[error("multipart: text behind a boundary on its line")]
    InvalidBoundaryLine,
    #[error("multipart: a boundary in quotes")]
    QuotedBoundary,
    #[error("multipart: white space before a boundary")]
    SpacedBoundary,
    #[error("multipart: a part header with a NUL")]
    NulInHeader,
    #[error("multipart: a part header is too long")]
    HeaderTooLong,
    #[error("multipart: a part header without a colon")]
    NoColon,
    #[error("multipart: a part header without a name")]
    NoHeaderName,
    #[error("multipart: the name of a part header contains an invalid character")]
    InvalidHeaderName,
    #[error("multipart: a part begins with a folded header line")]
    NothingToFold,
    #[error("multipart: two part headers with the same name")]
    DuplicateHeader,
    #[error("multipart: a part without Content-Disposition")]
    NoDisposition,
    #[error("multipart: Content-Disposition {0}")]
    Disposition(#[from] DispositionError),
    #[error("multipart: more parts than allowed")]
    TooManyParts,
    #[error("multipart: more fields than allowed")]
    TooManyFields,
    #[error("multipart: more headers in a part than allowed")]
    TooManyHeaders,
    #[error("multipart: a value is longer than allowed")]
    ValueTooLong,
}

impl MultipartError {
    /// Whether the body may be right, but has more in it than is read.
    pub(crate) const fn is_bound(&self) -> bool {
        matches!(
            self,
            Self::HeaderTooLong
                | Self::TooManyParts
                | Self::TooManyFields
                | Self::TooManyHeaders
                | Self::ValueTooLong
        )
    }
}
