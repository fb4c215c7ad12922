//! Objects whose every byte is known from their key and version.

use std::path::Path;
use std::time::Duration;

use bytes::Bytes;
use tidegate_store::disk::{Disk, DiskFault, Entry, Options, Record, Skipped};
use tidegate_store::{FillId, Key, Labels, Moment, Seed};

pub(crate) const NOW: Moment = Moment::from_millis(1_700_000_000_000);
const LATE: Moment = Moment::from_millis(1_800_000_000_000);

pub(crate) fn key(n: u32) -> Key {
    Seed::from_bytes([3; 16]).key(format!("https example.com /object/{n}").as_bytes())
}

/// Its length is a matter of key and version too.
pub(crate) fn body(n: u32, version: u32) -> Vec<u8> {
    let mut random = fastrand::Rng::with_seed(u64::from(n) << 32 | u64::from(version));
    let len = match random.u8(..8) {
        0 => random.usize(..100),
        1 => random.usize(..60_000),
        _ => random.usize(..8_000),
    };
    let mut bytes = vec![0; len];
    random.fill(&mut bytes);
    bytes
}

pub(crate) fn entry(n: u32, version: u32) -> Entry {
    Entry {
        key: key(n),
        fill: FillId::from_bits(u64::from(version)),
        created: created(version),
        keep_until: LATE,
        meta: [version, version].map(u32::to_le_bytes).concat(),
        labels: labels(n),
        body: body(n, version).chunks(3000).map(Bytes::copy_from_slice).collect(),
    }
}

/// Says that an object was found valid: it has the same body, and was created at `validated`.
pub(crate) fn validate(disk: &Disk, n: u32, found: &Record, validated: u32) -> Result<(), Skipped> {
    let version = versions(found)[0];
    let meta = [version, validated].map(u32::to_le_bytes).concat();
    let created = created(validated);
    disk.rewrite_meta(&key(n), found.version(), created, LATE, meta, labels(n))
}

pub(crate) fn created(version: u32) -> Moment {
    NOW.after(Duration::from_millis(u64::from(version)))
}

fn labels(n: u32) -> Labels {
    Labels { subject: Box::from(&b"example.com/"[..]), tags: Box::from([u64::from(n)]) }
}

/// Of the body, and of its last validation.
fn versions(record: &Record) -> [u32; 2] {
    let (words, rest) = record.meta().as_chunks::<4>();
    assert!(rest.is_empty() && words.len() == 2);
    [words[0], words[1]].map(u32::from_le_bytes)
}

/// A directory of segments of `segment` bytes, which is looked through at each flush, and every
/// so often.
pub(crate) fn open(path: &Path, capacity: u64, segment: u64, tend: Duration) -> Disk {
    let options =
        Options { segment: Some(segment), readers: 1, tend, ..Options::of_capacity(capacity) };
    Disk::open(path, options, NOW).unwrap()
}

pub(crate) const ONLY_AT_A_FLUSH: Duration = Duration::from_secs(3600);

/// The version that the disk has. Panics if a single byte is not of this version.
pub(crate) async fn version(disk: &Disk, n: u32) -> Result<Option<u32>, DiskFault> {
    let Some(record) = record(disk, n).await? else { return Ok(None) };
    let bytes = record.read(0..u64::MAX).await?;
    let [version, validated] = versions(&record);
    assert_eq!(bytes.len() as u64, record.body_len());
    assert!(bytes == body(n, version), "key {n} version {version} has wrong bytes");
    assert_eq!(record.labels().tags.as_ref(), [u64::from(n)]);
    assert_eq!(record.created(), created(validated));
    Ok(Some(version))
}

pub(crate) async fn record(disk: &Disk, n: u32) -> Result<Option<Record>, DiskFault> {
    let Some(found) = disk.find(&key(n)) else { return Ok(None) };
    disk.load(&found, &key(n)).await
}
