//! A budget that a transaction used up: what lay beyond it was not inspected.

/// Bytes of all values of a transaction, and of all that transformations make of them.
pub(crate) const VALUE_BYTES: usize = 16 << 20;
/// Bytes that operators look at in one transaction, each time counted.
pub(crate) const JUDGED_BYTES: usize = 64 << 20;

/// Which budget.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum Overrun {
    /// More arguments than `SecArgumentsLimit`.
    #[error("more arguments than are inspected")]
    Arguments,
    /// More bytes of a body, files not counted, than the limit.
    #[error("a body larger than is inspected")]
    Body,
    /// A body with more, longer or deeper parts than are read.
    #[error("a body with more, longer or deeper parts than are inspected")]
    Parts,
    /// Values and what transformations made of them have too many bytes.
    #[error("values that become too large when they are decoded")]
    Values,
    /// Rules made too many names in TX.
    #[error("more names than rules may make")]
    Names,
    /// More rules and values than may be judged in one phase.
    #[error("more work for rules than one request may cause")]
    Work,
}
