//! A disk as a whole, on a real directory, with a device that can be made to fail.

mod objects;
mod room;
mod faults;
mod outages;
mod processes;
mod orders;
mod removals;

use std::collections::HashMap;
use std::path::{Path, PathBuf};
use std::time::Duration;

use bytes::Bytes;
use rustix::io::Errno;

use super::*;
use crate::key::Seed;
use crate::version::FillId;

const SEGMENT: u64 = 64 * 1024;
const NOW: Moment = Moment::from_millis(1_700_000_000_000);

fn options(segments: u64) -> Options {
    Options {
        segment: Some(SEGMENT),
        // Only a flush tends.
        tend: Duration::from_secs(3600),
        ..Options::of_capacity(segments * SEGMENT)
    }
}

fn open(path: &Path, segments: u64) -> Disk {
    Disk::open(path, options(segments), NOW).unwrap()
}

fn key(n: u32) -> Key {
    Seed::from_bytes([9; 16]).key(format!("https example.com /{n}").as_bytes())
}

/// Bytes that tell the key and the version they belong to.
fn body(n: u32, version: u32, len: usize) -> Vec<u8> {
    let mut random = fastrand::Rng::with_seed(u64::from(n) << 32 | u64::from(version));
    std::iter::repeat_with(|| random.u8(..)).take(len).collect()
}

fn entry(n: u32, version: u32, len: usize) -> Entry {
    let body = body(n, version, len);
    Entry {
        key: key(n),
        fill: FillId::from_bits(u64::from(n)),
        created: NOW.after(Duration::from_secs(u64::from(version))),
        keep_until: NOW.after(Duration::from_secs(1_000_000)),
        meta: version.to_le_bytes().to_vec(),
        labels: Labels {
            subject: Box::from(&b"example.com/"[..]),
            tags: Box::from([u64::from(n)]),
        },
        body: body.chunks(5000).map(Bytes::copy_from_slice).collect(),
    }
}

/// What is seen of an object that was written or found valid as that version.
fn seen(n: u32, version: u32) -> Version {
    let Entry { fill, created, .. } = entry(n, version, 0);
    Version { fill, created }
}

/// The version and body of an object.
async fn read(disk: &Disk, n: u32) -> Result<Option<(u32, Bytes)>, DiskFault> {
    let Some(found) = disk.find(&key(n)) else { return Ok(None) };
    let Some(record) = disk.load(&found, &key(n)).await? else { return Ok(None) };
    let version = u32::from_le_bytes(record.meta().as_ref().try_into().unwrap());
    assert_eq!(record.labels().tags.as_ref(), [u64::from(n)]);
    Ok(Some((version, record.read(0..u64::MAX).await?)))
}

/// The version, after the body was found to be of this version.
async fn version(disk: &Disk, n: u32) -> Option<u32> {
    let (version, read) = read(disk, n).await.unwrap()?;
    assert_eq!(read, body(n, version, read.len()), "key {n} version {version}");
    Some(version)
}

fn files(path: &Path, ending: &str) -> Vec<PathBuf> {
    let folders = std::fs::read_dir(path.join("seg")).unwrap();
    let files = folders.flat_map(|folder| std::fs::read_dir(folder.unwrap().path()).unwrap());
    let mut found: Vec<_> = files.map(|file| file.unwrap().path()).collect();
    found.retain(|file| file.to_str().unwrap().ends_with(ending));
    found.sort();
    found
}
