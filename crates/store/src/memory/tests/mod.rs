mod objects;
mod fills;
mod orders;

use bytes::Bytes;

use super::*;
use crate::fill::Broken;
use crate::key::Seed;
use crate::labels::{Labels, tag};
use crate::purge::{Manner, Target};

const SEED: Seed = Seed::from_bytes([1; 16]);

impl Meta for String {
    fn encode(&self, to: &mut Vec<u8>) {
        to.extend_from_slice(self.as_bytes());
    }
    fn decode(bytes: &[u8]) -> Option<Self> {
        Self::from_utf8(bytes.to_vec()).ok()
    }
    fn weight(&self) -> usize {
        size_of::<Self>() + self.capacity()
    }
}

fn memory(capacity: u64) -> Arc<Memory<String>> {
    let limits = Limits { longest: capacity / 2, window: 64 };
    let size = Size { capacity, small: 10, limits };
    Memory::new(size, Arc::new(Purges::in_memory(100)))
}

fn at(millis: u64) -> Moment {
    Moment::from_millis(millis)
}

/// An object of that name, tagged with it, created then.
fn about(name: &str, created: u64) -> About<String> {
    About {
        key: SEED.key(name.as_bytes()),
        fill: FillId::from_bits(created),
        created: at(created),
        keep_until: at(1_000_000),
        meta: Arc::new(format!("{name} {created}")),
        labels: Labels { subject: name.as_bytes().into(), tags: [tag(name.as_bytes())].into() },
    }
}

/// What is known of the object of that moment.
fn seen(created: u64) -> Version {
    Version { fill: FillId::from_bits(created), created: at(created) }
}

fn fill(memory: &Arc<Memory<String>>, name: &str, created: u64, body: &str) -> Filled<String> {
    let (mut filling, _) = memory.begin(about(name, created), Some(body.len() as u64));
    filling.push(Bytes::copy_from_slice(body.as_bytes())).unwrap();
    filling.finish(None).unwrap()
}

fn put(memory: &Memory<String>, about: About<String>, parts: Parts) -> bool {
    let ticket = memory.ticket(&about.key);
    memory.insert(about, parts, 0, ticket)
}

/// The metadata and the body, if that is complete.
fn found(memory: &Memory<String>, name: &str) -> Option<(String, Bytes)> {
    match memory.find(&SEED.key(name.as_bytes()), at(0))? {
        Hit::Whole(object, _) => {
            Some(((*object.about.meta).clone(), object.parts.as_slice().concat().into()))
        }
        Hit::Running(running, ..) => Some(((*running.about.meta).clone(), Bytes::new())),
    }
}

fn is(meta: &str, body: &'static str) -> Option<(String, Bytes)> {
    Some((meta.to_owned(), Bytes::from_static(body.as_bytes())))
}

/// A fill under way: of which name, since when, what came, and if it is dead.
type Under = (usize, u64, Vec<u8>, Filling<String>, bool);
