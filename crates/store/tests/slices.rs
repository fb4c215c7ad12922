//! An object far larger than the disk, read by ranges from slices that come and go.

use std::ops::Range;
use std::time::Duration;

use bytes::Bytes;
use tidegate_store::disk::{Disk, Entry, Options};
use tidegate_store::{Key, Labels, Seed};

use crate::objects::NOW;

const LENGTH: u64 = 50 << 30;
const SLICE: u64 = 1 << 20;

fn key(slice: u64) -> Key {
    Seed::from_bytes([3; 16])
        .key(format!("https example.com /film version 1 slice {slice}").as_bytes())
}

/// Each eight bytes are a number mixed from their place.
fn reference(range: Range<u64>) -> Vec<u8> {
    let from = range.start / 8;
    let words = (from..range.end.div_ceil(8)).flat_map(|n| {
        let mixed = (n ^ n >> 31).wrapping_mul(0x7fb5_d329_728e_a185);
        (mixed ^ mixed >> 27).to_le_bytes()
    });
    let skipped = (range.start - from * 8) as usize;
    words.skip(skipped).take((range.end - range.start) as usize).collect()
}

/// A range of the object; slices that are missing are fetched and kept.
async fn read(disk: &Disk, range: Range<u64>, fetched: &mut u64) -> Vec<u8> {
    let mut bytes = Vec::new();
    for slice in range.start / SLICE..range.end.div_ceil(SLICE) {
        let start = slice * SLICE;
        let key = key(slice);
        if disk.find(&key).is_none() {
            *fetched += 1;
            let body = reference(start..(start + SLICE).min(LENGTH));
            let entry = Entry {
                key: key.clone(),
                fill: tidegate_store::FillId::from_bits(0),
                created: NOW,
                keep_until: NOW.after(Duration::from_secs(1_000_000)),
                meta: slice.to_le_bytes().to_vec(),
                labels: Labels::default(),
                body: body.chunks(16 * 1024).map(Bytes::copy_from_slice).collect(),
            };
            disk.write(entry).unwrap();
            disk.flush().await.unwrap();
        }
        let found = disk.find(&key).unwrap();
        let record = disk.load(&found, &key).await.unwrap().unwrap();
        assert_eq!(record.meta().as_ref(), slice.to_le_bytes());
        let from = range.start.saturating_sub(start);
        bytes.extend_from_slice(&record.read(from..range.end - start).await.unwrap());
    }
    bytes
}

#[tokio::test]
async fn ranges_of_a_50_gib_object_are_those_of_the_reference() {
    let home = tempfile::tempdir().unwrap();
    let options = Options { segment: Some(8 << 20), ..Options::of_capacity(128 << 20) };
    let disk = Disk::open(home.path(), options, NOW).unwrap();
    let mut random = fastrand::Rng::with_seed(50);
    let places: Vec<u64> = (0..12).map(|_| random.u64(..LENGTH - 8 * SLICE)).collect();
    let (mut fetched, mut asked) = (0, 0);
    for n in 0..160 {
        // Some places many want to see, some nobody else does; the ends are among them.
        let start = match n % 5 {
            0 => random.u64(..LENGTH),
            1 if n < 10 => 0,
            2 if n < 10 => LENGTH - SLICE - 3,
            _ => random.choice(&places).unwrap() + random.u64(..2 * SLICE),
        };
        let end = (start + random.u64(1..5 * SLICE / 2)).min(LENGTH);
        asked += end.div_ceil(SLICE) - start / SLICE;
        let bytes = read(&disk, start..end, &mut fetched).await;
        assert!(bytes == reference(start..end), "{start}..{end}");
    }
    let figures = disk.figures();
    println!("{fetched} of {asked} slices were fetched, {} evicted", figures.evicted_objects);
    assert!(fetched < asked / 2, "{fetched} of {asked} slices were fetched");
    assert!(figures.size_bytes <= 128 << 20);
    assert_eq!(figures.damaged, 0);
}
