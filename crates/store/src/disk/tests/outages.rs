//! Devices that fail, for a moment, for a while, or in one place.

use super::*;

/// So long after what these tests write was created.
fn later(seconds: u64) -> Moment {
    entry(0, 1, 0).created.after(Duration::from_secs(seconds))
}

async fn filled(path: &Path, device: &Device, objects: u32) -> Disk {
    let disk = Disk::open_on(path, options(64), NOW, device.clone()).unwrap();
    for n in 0..objects {
        disk.write(entry(n, 1, 1000)).unwrap();
    }
    disk.flush().await.unwrap();
    disk
}

/// Its health after it was told the time, and did what was due.
async fn health(disk: &Disk, now: Moment) -> Health {
    disk.notice(now);
    // What was removed meanwhile is not written while it is out.
    disk.flush().await.ok();
    disk.figures().health
}

#[tokio::test]
async fn a_read_that_fails_is_a_miss_of_one_object() {
    let home = tempfile::tempdir().unwrap();
    let device = Device::default();
    let disk = filled(home.path(), &device, 3).await;
    device.break_reads(Errno::IO);
    assert_eq!(read(&disk, 1).await, Err(DiskFault::Io(Errno::IO)));
    device.mend();
    assert_eq!(read(&disk, 1).await, Ok(None), "it is not asked for again");
    assert_eq!(version(&disk, 2).await, Some(1));
    let figures = disk.figures();
    assert_eq!((figures.health, figures.errors, figures.outages), (Health::Working, 1, 0));
    disk.write(entry(1, 2, 1000)).unwrap();
    disk.flush().await.unwrap();
    assert_eq!(version(&disk, 1).await, Some(2));
}

#[tokio::test]
async fn what_the_process_lacks_costs_no_object() {
    let home = tempfile::tempdir().unwrap();
    let device = Device::default();
    let disk = filled(home.path(), &device, 1).await;
    device.break_reads(Errno::NOMEM);
    for _ in 0..50 {
        assert_eq!(read(&disk, 0).await, Err(DiskFault::Io(Errno::NOMEM)));
    }
    device.mend();
    assert_eq!(version(&disk, 0).await, Some(1));
    assert_eq!(disk.figures().health, Health::Working);
}

#[tokio::test]
async fn a_device_that_cannot_be_read_is_out_until_it_can() {
    let home = tempfile::tempdir().unwrap();
    let device = Device::default();
    let disk = filled(home.path(), &device, 20).await;
    device.break_reads(Errno::IO);
    for n in 0..8 {
        assert_eq!(disk.figures().health, Health::Working);
        assert_eq!(read(&disk, n).await, Err(DiskFault::Io(Errno::IO)));
    }
    assert_eq!(disk.figures().health, Health::Out);
    assert_eq!(read(&disk, 10).await, Ok(None));
    assert_eq!(disk.write(entry(11, 2, 10)), Err(Skipped::Out));
    disk.remove(&key(12));
    assert_eq!(health(&disk, later(5)).await, Health::Out, "it is still broken");
    device.mend();
    assert_eq!(health(&disk, later(14)).await, Health::Out, "each time in vain it waits longer");
    assert_eq!(health(&disk, later(15)).await, Health::Working);
    assert_eq!(disk.figures().outages, 1);
    disk.write(entry(30, 1, 10)).unwrap();
    disk.flush().await.unwrap();
    let mut disk = disk;
    for start in ["", " after a restart"] {
        for n in 0..20 {
            let expected = (n >= 8 && n != 11 && n != 12).then_some(1);
            assert_eq!(version(&disk, n).await, expected, "key {n}{start}");
        }
        assert_eq!(version(&disk, 30).await, Some(1));
        disk.close().await;
        disk = open(home.path(), 64);
    }
}

#[tokio::test]
async fn errors_that_are_far_apart_take_no_disk_out() {
    let home = tempfile::tempdir().unwrap();
    let device = Device::default();
    let disk = filled(home.path(), &device, 30).await;
    for n in 0..30 {
        device.break_reads(Errno::IO);
        assert_eq!(read(&disk, n).await, Err(DiskFault::Io(Errno::IO)));
        device.mend();
        assert_eq!(health(&disk, later(10 * u64::from(n))).await, Health::Working, "key {n}");
    }
    assert_eq!(disk.figures().errors, 30);
}

#[tokio::test]
async fn a_device_that_cannot_be_written_is_out_until_it_can() {
    let home = tempfile::tempdir().unwrap();
    let device = Device::default();
    let disk = filled(home.path(), &device, 2).await;
    device.break_writes(Errno::IO);
    disk.write(entry(1, 2, 10)).unwrap();
    assert_eq!(disk.flush().await, Err(Skipped::Out), "the old version may be back");
    assert_eq!(disk.figures().health, Health::Out);
    assert_eq!(disk.write(entry(3, 1, 10)), Err(Skipped::Out));
    assert!(disk.find(&key(0)).is_none());
    assert_eq!(health(&disk, later(5)).await, Health::Out, "it is still broken");
    device.mend();
    disk.flush().await.unwrap_err();
    assert_eq!(disk.figures().health, Health::Out, "nobody said that time has passed");
    assert_eq!(health(&disk, later(15)).await, Health::Working);
    assert_eq!(version(&disk, 0).await, Some(1));
    assert_eq!(version(&disk, 1).await, None, "neither the old version nor the new one");
    disk.write(entry(3, 1, 10)).unwrap();
    disk.flush().await.unwrap();
    assert_eq!(version(&disk, 3).await, Some(1));
}

#[tokio::test]
async fn a_path_that_leads_elsewhere_is_not_the_disk() {
    let home = tempfile::tempdir().unwrap();
    let (place, aside) = (home.path().join("disk"), home.path().join("aside"));
    let device = Device::default();
    let disk = filled(&place, &device, 1).await;
    device.break_writes(Errno::IO);
    disk.write(entry(1, 1, 10)).unwrap();
    disk.flush().await.unwrap();
    device.mend();
    std::fs::rename(&place, &aside).unwrap();
    std::fs::create_dir(&place).unwrap();
    assert_eq!(health(&disk, later(5)).await, Health::Out);
    std::fs::remove_dir(&place).unwrap();
    std::fs::rename(&aside, &place).unwrap();
    assert_eq!(health(&disk, later(15)).await, Health::Working);
    assert_eq!(version(&disk, 0).await, Some(1));
}

#[tokio::test]
async fn a_segment_that_cannot_be_read_costs_what_is_in_it() {
    let home = tempfile::tempdir().unwrap();
    let device = Device::default();
    let disk = filled(home.path(), &device, 200).await;
    disk.close().await;
    let all = files(home.path(), ".seg");
    assert!(all.len() > 3);
    device.break_file(&all[1]);
    let disk = Disk::open_on(home.path(), options(64), NOW, device.clone()).unwrap();
    let mut there = 0;
    for n in 0..200 {
        there += u32::from(version(&disk, n).await.is_some());
    }
    assert!((100..199).contains(&there), "{there} objects");
    disk.flush().await.unwrap();
    assert!(!all[1].exists(), "it takes no room");
    assert_eq!(disk.figures().health, Health::Working);
    disk.close().await;
    device.break_reads(Errno::IO);
    let opened = Disk::open_on(home.path(), options(64), NOW, device);
    assert!(matches!(opened, Err(OpenFault::Io { errno: Errno::IO, .. })), "none can be read");
}

#[tokio::test]
async fn eviction_passes_over_what_cannot_be_read() {
    let home = tempfile::tempdir().unwrap();
    let device = Device::default();
    let disk = Disk::open_on(home.path(), options(8), NOW, device.clone()).unwrap();
    for n in 0..50 {
        disk.write(entry(n, 1, 3000)).unwrap();
    }
    disk.flush().await.unwrap();
    disk.find(&key(0));
    let oldest = files(home.path(), ".seg").remove(0);
    device.break_file(&oldest);
    for n in 50..200 {
        disk.write(entry(n, 1, 3000)).unwrap();
        disk.flush().await.unwrap();
    }
    assert!(!oldest.exists());
    let figures = disk.figures();
    assert_eq!(figures.health, Health::Working, "{figures:?}");
    assert!(figures.errors > 0 && figures.evicted_segments > 3, "{figures:?}");
    assert_eq!(version(&disk, 0).await, None);
    assert_eq!(version(&disk, 199).await, Some(1));
}
