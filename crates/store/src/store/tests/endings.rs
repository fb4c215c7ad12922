//! A process that ends at any moment. What it leaves is what its folder has then: a copy is taken
//! before each record that is written.

use std::sync::Arc;

use parking_lot::Mutex;
use tempfile::TempDir;

use super::*;

type Copies = Arc<Mutex<Vec<TempDir>>>;

fn copied(from: &Path) -> TempDir {
    let to = tempfile::tempdir().unwrap();
    copy(from, to.path());
    to
}

fn copy(from: &Path, to: &Path) {
    std::fs::create_dir_all(to).unwrap();
    for entry in std::fs::read_dir(from).unwrap() {
        let entry = entry.unwrap();
        let to = to.join(entry.file_name());
        match entry.file_type().unwrap().is_dir() {
            true => copy(&entry.path(), &to),
            false => drop(std::fs::copy(entry.path(), to).unwrap()),
        }
    }
}

/// Takes copies from now on.
fn take(device: &Device, home: &Path, copies: &Copies) {
    let meanwhile = || {
        let (device, home, copies) = (device.clone(), home.to_owned(), copies.clone());
        move || {
            copies.lock().push(copied(&home));
            take(&device, &home, &copies);
        }
    };
    device.in_a_record(meanwhile());
    device.in_a_copy(meanwhile());
}

fn start_on(home: &Path, device: Device) -> Store<String> {
    let options = disk::Options { segment: Some(64 << 10), ..disk::Options::of_capacity(8 << 20) };
    let disk = Disk::open_on(home, options, at(1), device).unwrap();
    Store::open(small(), vec![disk], &[home.join("purge.log")], at(1)).unwrap()
}

/// What the next process finds after `action`, for each moment at which this one may end.
async fn left(action: impl AsyncFnOnce(&Store<String>)) -> Vec<Option<(String, Vec<u8>)>> {
    let home = tempfile::tempdir().unwrap();
    let device = Device::default();
    let store = start_on(home.path(), device.clone());
    put(&store, "a/", "old", 1);
    store.flush().await;
    let copies = Copies::default();
    take(&device, home.path(), &copies);
    action(&store).await;
    store.flush().await;
    let mut all = std::mem::take(&mut *copies.lock());
    all.push(copied(home.path()));
    let mut left = Vec::new();
    for copy in all {
        let next = start_on(copy.path(), Device::default());
        left.push(found(&next, "a/").await.map(|(_, meta, body)| (meta, body)));
    }
    left
}

fn is(meta: &str, body: &str) -> Option<(String, Vec<u8>)> {
    Some((meta.to_owned(), body.as_bytes().to_vec()))
}

#[tokio::test]
async fn while_an_object_is_replaced_it_leaves_one_of_both() {
    let left = left(async |store: &Store<String>| {
        put(store, "a/", "new", 2);
    })
    .await;
    assert_eq!(left, [is("a/", "old"), is("a/", "new")]);
}

#[tokio::test]
async fn while_an_object_is_validated_it_leaves_one_of_both() {
    let validate = async |store: &Store<String>| {
        let key = store.key(b"a/");
        let of = store.find(&key, at(2)).await.unwrap().version();
        let labels = Labels { subject: (*b"a/").into(), tags: [].into() };
        let (began, meta) = (store.stamp(at(2)), "valid".to_owned());
        let validated = Validated { key, of, began, keep_until: LATE, meta, labels };
        assert!(store.replace_meta(validated).await);
    };
    assert_eq!(left(validate).await, [is("a/", "old"), is("valid", "old")]);
}

#[tokio::test]
async fn after_a_purge_it_leaves_nothing_that_was_hit() {
    let purge = async |store: &Store<String>| {
        store.purge(&[Target::Subject(b"a/")], Manner::Hard, at(2)).unwrap();
        put(store, "a/", "new", 3);
    };
    assert_eq!(left(purge).await, [None, is("a/", "new")]);
}
