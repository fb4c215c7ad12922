//! What is kept beside a body, decoded: the store passes it on and never looks
//! into it.

/// Metadata of an object, such as the head of an answer.
///
/// In memory it is kept as it is; on a disk as bytes.
pub trait Meta: Send + Sync + 'static {
    /// Appends what [`Meta::decode`] reads.
    fn encode(&self, to: &mut Vec<u8>);

    /// None if these bytes are not of this version: such an object is a miss.
    fn decode(bytes: &[u8]) -> Option<Self>
    where
        Self: Sized;

    /// Bytes of memory that it holds, itself included.
    fn weight(&self) -> usize;
}
