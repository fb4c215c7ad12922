mod memory;
mod disks;
mod hot;
mod admission;
mod orders;
mod others;
mod endings;

use std::path::Path;

use bytes::Bytes;
use rustix::io::Errno;

use super::*;
use crate::disk::Device;
use crate::fill::Broken;

const LATE: Moment = Moment::from_millis(u64::MAX);

fn at(millis: u64) -> Moment {
    Moment::from_millis(millis)
}

fn store() -> Store<String> {
    Store::in_memory(Options::of_memory(100_000))
}

fn start(store: &Store<String>, name: &str) -> Start<String> {
    Start {
        key: store.key(name.as_bytes()),
        keep_until: LATE,
        meta: name.to_owned(),
        labels: Labels { subject: name.as_bytes().into(), tags: [].into() },
        length: None,
    }
}

fn put(store: &Store<String>, name: &str, body: impl AsRef<[u8]>, now: u64) -> Stored {
    let began = store.stamp(at(now));
    let (mut fill, _) = store.begin(start(store, name), began);
    fill.push(Bytes::copy_from_slice(body.as_ref())).unwrap();
    fill.finish(None).unwrap()
}

async fn read(mut body: Body) -> Result<Vec<u8>, Broken> {
    let mut all = Vec::new();
    while let Some(bytes) = body.next().await? {
        all.extend_from_slice(&bytes);
    }
    Ok(all)
}

/// With disks in folders of that name.
fn open(home: &Path, disks: &[&str], options: Options) -> Store<String> {
    let mut opened = Vec::new();
    let mut logs = Vec::new();
    for name in disks {
        let path = home.join(name);
        let disk = disk::Options {
            segment: Some(64 << 10),
            // Only a flush looks through the folder.
            tend: Duration::from_secs(3600),
            ..disk::Options::of_capacity(8 << 20)
        };
        opened.push(Disk::open(&path, disk, at(1)).unwrap());
        logs.push(path.join("purge.log"));
    }
    Store::open(options, opened, &logs, at(1)).unwrap()
}

fn small() -> Options {
    Options { promoted: 1000, longest: 50_000, ..Options::of_memory(100_000) }
}

async fn found(store: &Store<String>, name: &str) -> Option<(Tier, String, Vec<u8>)> {
    let found = store.find(&store.key(name.as_bytes()), at(0)).await?;
    let meta = found.meta.as_ref().clone();
    Some((found.tier, meta, read(found.body).await.unwrap()))
}
