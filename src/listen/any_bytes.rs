//! What this room makes of any bytes, in whatever pieces they come, for those
//! who try them.

use tokio::time::Instant;

use super::chunks::{BadChunks, Chunks};
use super::h2_frames::{Frames, Ours};
use super::listener::{Config, Listener};

/// Whether something is open after these pieces of a connection, how many
/// streams were opened for nothing, and what there was too much of.
pub(crate) fn follow_frames<'a>(
    pieces: impl IntoIterator<Item = &'a [u8]>,
) -> (bool, u32, Option<&'static str>) {
    let config = Config::<()> { address: "127.0.0.1:1".into(), ..Config::default() };
    let listener = Listener::new(&config).expect("an address");
    // At once: nothing is given back as time goes by.
    let now = Instant::now();
    let mut frames = Frames::new(&listener, listener.h2.resets_per_minute, now);
    for piece in pieces {
        frames.follow(piece, now);
        if frames.is_flooded() {
            break;
        }
    }
    let flood = frames.flooded().get().map(|flood| flood.as_str());
    // What is open where nothing more is read, nobody asks.
    (flood.is_none() && frames.deadline().is_some(), frames.take_wasted(), flood)
}

/// How many of our frames carry an answer on, how many end one, and how many
/// resets are for what the client did.
pub(crate) fn follow_answer<'a>(pieces: impl IntoIterator<Item = &'a [u8]>) -> (u32, u32, u32) {
    let mut ours = Ours::default();
    let useful = pieces.into_iter().map(|piece| ours.useful_in(piece)).sum();
    (useful, ours.ended, ours.blames)
}

/// How many bytes of these pieces belong to a chunked body, and whether it has
/// come to its end.
pub(crate) fn follow_chunks<'a>(
    pieces: impl IntoIterator<Item = &'a [u8]>,
) -> Result<(usize, bool), BadChunks> {
    let (mut chunks, mut used) = (Chunks::default(), 0);
    for piece in pieces {
        used += chunks.follow(piece)?;
    }
    Ok((used, chunks.is_done()))
}
