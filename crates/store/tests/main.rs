//! What the disk promises, shown from outside: processes that are killed, damaged files, full
//! file systems, several processes, objects far larger than the disk.

#![expect(clippy::unwrap_used, reason = "a test that cannot go on fails")]
#![expect(
    clippy::print_stdout,
    reason = "processes under test tell what they do, tests what they saw"
)]

mod objects;
mod process;
mod kill;
mod damage;
mod full;
mod handover;
mod slices;
mod stores;
