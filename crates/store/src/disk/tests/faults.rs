//! Records that are damaged, and reads that wait.

use super::*;

#[tokio::test]
async fn a_damaged_record_is_dropped_and_never_served() {
    let home = tempfile::tempdir().unwrap();
    let disk = open(home.path(), 64);
    disk.write(entry(1, 1, 20_000)).unwrap();
    disk.write(entry(2, 1, 20_000)).unwrap();
    disk.flush().await.unwrap();
    let at = {
        let found = disk.find(&key(1)).unwrap();
        u64::from(found.spot.at) * UNIT + found.record_len() - 70
    };
    let file = &files(home.path(), ".open")[0];
    let file = std::fs::File::options().write(true).open(file).unwrap();
    std::os::unix::fs::FileExt::write_all_at(&file, &[0; 7], at).unwrap();
    assert_eq!(read(&disk, 1).await, Err(DiskFault::Damaged));
    assert_eq!(read(&disk, 1).await, Ok(None));
    assert_eq!(version(&disk, 2).await, Some(1));
    assert_eq!(disk.figures().damaged, 1);
    disk.close().await;
    let disk = open(home.path(), 64);
    assert_eq!(read(&disk, 1).await, Ok(None));
    assert_eq!(version(&disk, 2).await, Some(1));
}

#[tokio::test]
async fn what_is_not_in_memory_is_read_by_the_pool() {
    let home = tempfile::tempdir().unwrap();
    let device = Device::default();
    device.slow_down();
    let disk = Disk::open_on(home.path(), options(64), NOW, device.clone()).unwrap();
    disk.write(entry(1, 1, 30_000)).unwrap();
    disk.flush().await.unwrap();
    assert_eq!(version(&disk, 1).await, Some(1));
    let figures = disk.figures();
    assert_eq!((figures.reads_prompt, figures.reads_waited), (0, 2));
    disk.close().await;
    let none = Options { reads_waiting: 0, ..options(64) };
    let disk = Disk::open_on(home.path(), none, NOW, device).unwrap();
    assert_eq!(read(&disk, 1).await, Err(DiskFault::Busy));
    assert_eq!(disk.figures().reads_refused, 1);
}
