//! Segments on a disk.
//!
//! What the store asks of a disk, besides finding, loading and writing:
//! - `rank(&Key) -> u64`: a part of the hash by the disk's own seed; of several
//!   disks the one with the highest rank has the object, whatever their order.
//! - `rewrite_meta(&Key, created, keep_until, meta, labels)`: an object that was
//!   found valid counts as created when its validation began.
//! - `remove(&Key)`.
//! - `oldest() -> Option<Moment>` and `newest()`: bounds of when objects on it were
//!   created. Purges older than all objects are forgotten, and no purge is given a
//!   moment before an object that it is to hit.
