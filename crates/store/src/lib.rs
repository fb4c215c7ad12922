//! Where answers are kept: memory in front of disks, both bounded.
//!
//! The store knows keys, bytes and metadata it does not look into. It knows no
//! HTTP, reads no clock and starts no task: the caller says what time it is.
//! A file uses only files named above it.

mod clock;
mod key;
mod version;
mod meta;
mod labels;
mod purge;
mod ghosts;
mod queue;
mod tune;
mod lately;
mod fill;
mod memory;
pub mod disk;
mod store;

pub use clock::Moment;
pub use fill::{Broken, FillFault};
pub use key::{Key, Seed};
pub use labels::{Labels, tag};
pub use memory::MemoryFigures;
pub use meta::Meta;
pub use purge::{Manner, PurgeFault, PurgeFigures, Target};
pub use store::{
    Admit, Body, Figures, Fill, Found, Options, Start, Store, Stored, Tier, Validated, Warmed,
};
pub use version::{FillId, Version};
