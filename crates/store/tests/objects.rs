//! Objects whose every byte is known from their key and version.

use std::path::Path;
use std::time::Duration;

use bytes::Bytes;
use tidegate_store::disk::{Disk, DiskFault, Entry, Options};
use tidegate_store::{Key, Labels, Moment, Seed};

pub(crate) const NOW: Moment = Moment::from_millis(1_700_000_000_000);

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
        created: NOW.after(Duration::from_millis(u64::from(version))),
        keep_until: NOW.after(Duration::from_secs(100_000_000)),
        meta: version.to_le_bytes().to_vec(),
        labels: Labels {
            subject: Box::from(&b"example.com/"[..]),
            tags: Box::from([u64::from(n)]),
        },
        body: body(n, version).chunks(3000).map(Bytes::copy_from_slice).collect(),
    }
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
    let Some(found) = disk.find(&key(n)) else { return Ok(None) };
    let Some(record) = disk.load(&found, &key(n)).await? else { return Ok(None) };
    let bytes = record.read(0..u64::MAX).await?;
    let version = u32::from_le_bytes(record.meta().as_ref().try_into().unwrap());
    assert_eq!(bytes.len() as u64, record.body_len());
    assert!(bytes == body(n, version), "key {n} version {version} has wrong bytes");
    assert_eq!(record.labels().tags.as_ref(), [u64::from(n)]);
    assert_eq!(record.created(), entry(n, version).created);
    Ok(Some(version))
}
