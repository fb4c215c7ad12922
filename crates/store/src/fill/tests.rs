use std::sync::atomic::{AtomicU64, Ordering};

use super::*;

/// Bytes that fills may take.
struct Purse {
    capacity: u64,
    used: AtomicU64,
}

impl Allowance for Purse {
    fn take(&self, bytes: u64) -> bool {
        let used = self.used.load(Ordering::Relaxed) + bytes;
        if used > self.capacity {
            return false;
        }
        self.used.store(used, Ordering::Relaxed);
        true
    }

    fn give(&self, bytes: u64) {
        let used = self.used.load(Ordering::Relaxed).checked_sub(bytes);
        self.used.store(used.expect("given back twice"), Ordering::Relaxed);
    }
}

impl Purse {
    fn of(capacity: u64) -> Arc<Self> {
        Arc::new(Self { capacity, used: AtomicU64::new(0) })
    }

    fn used(&self) -> u64 {
        self.used.load(Ordering::Relaxed)
    }
}

const LIMITS: Limits = Limits { longest: 1 << 20, window: 1000 };

fn begin(purse: &Arc<Purse>, length: Option<u64>) -> (Writer, Reader) {
    let writer = Writer::new(purse.clone(), LIMITS, length);
    let reader = Reader::follow(writer.flow()).unwrap();
    (writer, reader)
}

async fn rest(reader: &mut Reader) -> Result<Vec<u8>, Broken> {
    let mut all = Vec::new();
    while let Some(bytes) = reader.next().await? {
        all.extend_from_slice(&bytes);
    }
    Ok(all)
}

/// What a reader has now, if anything.
fn at_once(reader: &mut Reader) -> Option<Result<Option<Bytes>, Broken>> {
    let mut next = std::pin::pin!(reader.next());
    let mut context = std::task::Context::from_waker(std::task::Waker::noop());
    match next.as_mut().poll(&mut context) {
        std::task::Poll::Ready(got) => Some(got),
        std::task::Poll::Pending => None,
    }
}

#[tokio::test]
async fn readers_follow_a_fill_and_see_its_end_only_when_it_is_finished() {
    let (mut writer, mut reader) = begin(&Purse::of(10_000), None);
    assert_eq!(at_once(&mut reader), None);
    writer.push("abc".into()).unwrap();
    assert_eq!(at_once(&mut reader), Some(Ok(Some("abc".into()))));
    assert_eq!(at_once(&mut reader), None);
    let mut late = Reader::follow(writer.flow()).unwrap();
    writer.push("def".into()).unwrap();
    let flow = writer.flow().clone();
    assert_eq!(at_once(&mut reader), Some(Ok(Some("def".into()))));
    assert_eq!(at_once(&mut reader), None);
    writer.finish().unwrap();
    assert_eq!(at_once(&mut reader), Some(Ok(None)));
    assert_eq!(rest(&mut late).await.unwrap(), b"abcdef");
    assert_eq!(rest(&mut Reader::follow(&flow).unwrap()).await.unwrap(), b"abcdef");
    assert_eq!(late.length(), Some(6));
}

#[tokio::test]
async fn a_reader_that_waits_is_woken_by_bytes_and_by_the_end() {
    let (mut writer, mut reader) = begin(&Purse::of(10_000), Some(4));
    let write = async {
        for byte in ["a", "b", "c", "d"] {
            tokio::task::yield_now().await;
            writer.push(byte.into()).unwrap();
        }
        tokio::task::yield_now().await;
        writer.finish().unwrap();
    };
    let (read, ()) = tokio::join!(rest(&mut reader), write);
    assert_eq!(read.unwrap(), b"abcd");
}

#[tokio::test]
async fn a_fill_broken_off_at_any_byte_is_an_error_to_every_reader() {
    for length in [None, Some(20)] {
        for at in 0..20 {
            let purse = Purse::of(10_000);
            let (mut writer, reader) = begin(&purse, length);
            let mut readers = vec![reader, Reader::follow(writer.flow()).unwrap()];
            readers[1].seek(at, None).unwrap();
            let flow = writer.flow().clone();
            for _ in 0..at {
                writer.push("x".into()).unwrap();
            }
            drop(writer);
            assert!(Reader::follow(&flow).is_none());
            for reader in &mut readers {
                assert_eq!(rest(reader).await, Err(Broken::Aborted), "{length:?} {at}");
            }
            assert_eq!(purse.used(), 0);
        }
    }
}

#[tokio::test]
async fn a_body_shorter_or_longer_than_announced_has_failed() {
    let (mut writer, mut reader) = begin(&Purse::of(10_000), Some(4));
    writer.push("abc".into()).unwrap();
    let fault = writer.finish().unwrap_err();
    assert_eq!(fault, FillFault::Short { got: 3, expected: 4 });
    assert_eq!(rest(&mut reader).await, Err(Broken::Aborted));

    let (mut writer, mut reader) = begin(&Purse::of(10_000), Some(4));
    writer.push("abcd".into()).unwrap();
    assert_eq!(at_once(&mut reader), Some(Ok(Some("abcd".into()))));
    assert_eq!(at_once(&mut reader), None, "the end is not the last announced byte");
    let excess = FillFault::Excess { expected: 4 };
    assert_eq!(writer.push("e".into()), Err(excess));
    assert_eq!(rest(&mut reader).await, Err(Broken::Aborted));
    assert_eq!(writer.finish().unwrap_err(), excess);
}

#[tokio::test]
async fn a_reader_of_a_range_waits_for_it_and_no_longer() {
    let (mut writer, mut reader) = begin(&Purse::of(10_000), Some(10));
    reader.seek(4, Some(7)).unwrap();
    writer.push("0123".into()).unwrap();
    assert_eq!(at_once(&mut reader), None);
    writer.push("45678".into()).unwrap();
    assert_eq!(rest(&mut reader).await.unwrap(), b"456");
    reader.seek(1, Some(3)).unwrap();
    assert_eq!(rest(&mut reader).await.unwrap(), b"12", "it may go back");
    reader.seek(8, None).unwrap();
    assert_eq!(at_once(&mut reader), Some(Ok(Some("8".into()))));
    assert_eq!(at_once(&mut reader), None);
    drop(writer);
    assert_eq!(rest(&mut reader).await, Err(Broken::Aborted));
}

#[tokio::test]
async fn bytes_that_a_body_has_not_are_an_error_and_no_end() {
    let (mut writer, mut known) = begin(&Purse::of(10_000), Some(4));
    assert_eq!(known.seek(5, None), Err(Broken::OutOfRange));
    assert_eq!(known.seek(0, Some(5)), Err(Broken::OutOfRange));
    assert_eq!(known.seek(3, Some(2)), Err(Broken::OutOfRange));
    writer.push("abcd".into()).unwrap();
    let (finished, _) = writer.finish().unwrap();
    let Finished::Whole(parts) = finished else { panic!("there was room") };
    let mut whole = Reader::whole(parts);
    assert_eq!(whole.seek(0, Some(5)), Err(Broken::OutOfRange));
    whole.seek(1, Some(3)).unwrap();
    assert_eq!(rest(&mut whole).await.unwrap(), b"bc");

    let (mut writer, mut beyond) = begin(&Purse::of(10_000), None);
    beyond.seek(5, None).unwrap();
    let mut longer = Reader::follow(writer.flow()).unwrap();
    longer.seek(2, Some(9)).unwrap();
    writer.push("abcd".into()).unwrap();
    writer.finish().unwrap();
    assert_eq!(rest(&mut beyond).await, Err(Broken::OutOfRange));
    assert_eq!(rest(&mut longer).await, Err(Broken::OutOfRange));
}

#[tokio::test]
async fn an_empty_body_is_a_body() {
    let (writer, mut reader) = begin(&Purse::of(10_000), Some(0));
    let (finished, taken) = writer.finish().unwrap();
    let Finished::Whole(parts) = finished else { panic!("there was room") };
    assert_eq!((parts.len(), taken), (0, 0));
    assert_eq!(rest(&mut reader).await.unwrap(), b"");
    assert_eq!(rest(&mut Reader::whole(parts)).await.unwrap(), b"");
}

#[tokio::test]
async fn small_pieces_become_one_part_and_readers_go_on_where_they_were() {
    let purse = Purse::of(1 << 20);
    let (mut writer, mut reader) = begin(&purse, None);
    let flow = writer.flow().clone();
    for n in 0..3000_u32 {
        writer.push(n.to_le_bytes().to_vec().into()).unwrap();
    }
    for _ in 0..100 {
        at_once(&mut reader);
    }
    let (finished, taken) = writer.finish().unwrap();
    let Finished::Whole(parts) = finished else { panic!("there was room") };
    assert_eq!((parts.as_slice().len(), parts.len()), (1, 12_000));
    assert_eq!(taken, 3000 * (4 + PART_BYTES), "what it held was accounted for");
    let expected: Vec<u8> = (100..3000_u32).flat_map(u32::to_le_bytes).collect();
    assert_eq!(rest(&mut reader).await.unwrap(), expected);
    let all = rest(&mut Reader::follow(&flow).unwrap()).await.unwrap();
    assert_eq!(all[400..], expected);
}

#[tokio::test]
async fn a_fill_without_room_goes_by_and_is_not_kept() {
    let purse = Purse::of(5000);
    let (mut writer, mut reader) = begin(&purse, None);
    let flow = writer.flow().clone();
    for n in 0..100_u8 {
        writer.push(vec![n; 100].into()).unwrap();
        assert!(purse.used() <= 5000);
        assert_eq!(at_once(&mut reader).unwrap().unwrap().unwrap(), vec![n; 100]);
    }
    assert!(writer.flow().is_passing());
    assert_eq!(purse.used(), LIMITS.window, "room that readers do not need is given back");
    assert!(Reader::follow(&flow).is_none(), "its beginning is gone");
    assert_eq!(reader.seek(10, None), Err(Broken::Outrun));
    let (finished, taken) = writer.finish().unwrap();
    assert!(matches!(finished, Finished::Passed(10_000)));
    assert_eq!(taken, 0);
    assert_eq!(rest(&mut reader).await.unwrap(), b"");
    assert_eq!(purse.used(), 0);
}

#[tokio::test]
async fn a_body_announced_too_long_is_never_held() {
    let purse = Purse::of(u64::MAX);
    let length = LIMITS.longest * 3;
    let (mut writer, mut reader) = begin(&purse, Some(length));
    assert_eq!(purse.used(), LIMITS.window);
    for _ in 0..3 << 10 {
        writer.push(vec![1; 1 << 10].into()).unwrap();
        assert!(purse.used() <= LIMITS.window);
        at_once(&mut reader).unwrap().unwrap().unwrap();
    }
    assert!(matches!(writer.finish().unwrap().0, Finished::Passed(n) if n == length));
    assert_eq!(rest(&mut reader).await.unwrap(), b"");
}

#[tokio::test]
async fn who_is_too_slow_for_a_fill_that_goes_by_gets_an_error_and_the_others_all() {
    let purse = Purse::of(3000);
    let (mut writer, mut slow) = begin(&purse, None);
    let mut quick = Reader::follow(writer.flow()).unwrap();
    let mut read = 0;
    for _ in 0..100 {
        writer.push(vec![7; 100].into()).unwrap();
        read += at_once(&mut quick).unwrap().unwrap().unwrap().len();
    }
    writer.finish().unwrap();
    assert_eq!(read, 10_000);
    assert_eq!(rest(&mut quick).await.unwrap(), b"");
    assert_eq!(rest(&mut slow).await, Err(Broken::Outrun));
}

#[tokio::test]
async fn a_writer_that_waits_until_it_is_ready_outruns_nobody() {
    for capacity in [0, 150, 500, 3000] {
        let purse = Purse::of(capacity);
        let (mut writer, mut first) = begin(&purse, None);
        let mut second = Reader::follow(writer.flow()).unwrap();
        let write = async {
            for n in 0..200_u8 {
                writer.ready(50).await.unwrap();
                writer.push(vec![n; 50].into()).unwrap();
                assert!(purse.used() <= capacity);
            }
            writer.finish().unwrap();
        };
        let slowly = async {
            let mut all = Vec::new();
            while let Some(bytes) = first.next().await.unwrap() {
                all.extend_from_slice(&bytes);
                tokio::task::yield_now().await;
            }
            all
        };
        let (one, other, ()) = tokio::join!(slowly, rest(&mut second), write);
        let expected: Vec<u8> = (0..200).flat_map(|n| [n; 50]).collect();
        assert_eq!(one, expected, "{capacity}");
        assert_eq!(other.unwrap(), expected, "{capacity}");
    }
}

#[tokio::test]
async fn nobody_waits_for_readers_that_have_gone() {
    let (mut writer, reader) = begin(&Purse::of(0), None);
    writer.push("abc".into()).unwrap();
    let leave = async {
        tokio::task::yield_now().await;
        drop(reader);
    };
    let (ready, ()) = tokio::join!(writer.ready(1), leave);
    assert_eq!(ready, Err(FillFault::Unread));
}

/// Any order of writing, reading, seeking and leaving against one vector.
#[test]
fn no_reader_ever_sees_a_wrong_byte_or_a_false_end() {
    for seed in 0..300 {
        let mut random = fastrand::Rng::with_seed(seed);
        let body: Vec<u8> = (0..random.usize(0..4000)).map(|_| random.u8(..)).collect();
        let purse = Purse::of(random.u64(0..12_000));
        let length = random.bool().then_some(body.len() as u64);
        let (writer, reader) = begin(&purse, length);
        let mut writer = Some(writer);
        let (mut written, mut finished) = (0, false);
        let mut readers = vec![(reader, 0, None)];
        for _ in 0..300 {
            match random.u8(0..10) {
                0..4 => {
                    let Some(filling) = writer.as_mut() else { continue };
                    let some = random.usize(0..60).min(body.len() - written);
                    let piece = Bytes::copy_from_slice(&body[written..written + some]);
                    filling.push(piece).unwrap();
                    written += some;
                    if written == body.len() {
                        finished = writer.take().unwrap().finish().is_ok();
                    }
                }
                4 if random.u8(0..40) == 0 => drop(writer.take()),
                5 if !readers.is_empty() => {
                    let index = random.usize(0..readers.len());
                    let start = random.usize(0..body.len() + 2);
                    let end = random.bool().then(|| start + random.usize(0..90));
                    let (reader, at, to) = &mut readers[index];
                    if reader.seek(start as u64, end.map(|end| end as u64)).is_ok() {
                        (*at, *to) = (start, end);
                    }
                }
                6 => {
                    let flow = writer.as_ref().map(|writer| writer.flow().clone());
                    let joined = flow.and_then(|flow| Reader::follow(&flow));
                    readers.extend(joined.map(|reader| (reader, 0, None)));
                }
                7 if readers.len() > 3 => drop(readers.swap_remove(0)),
                _ if !readers.is_empty() => {
                    let index = random.usize(0..readers.len());
                    let (reader, at, to) = &mut readers[index];
                    match at_once(reader) {
                        Some(Ok(Some(bytes))) => {
                            assert_eq!(bytes, body[*at..*at + bytes.len()], "seed {seed}");
                            *at += bytes.len();
                            assert!(to.is_none_or(|to| *at <= to));
                        }
                        Some(Ok(None)) => {
                            let all = *at == to.unwrap_or(body.len());
                            assert!(all && (finished || to.is_some()), "seed {seed}");
                        }
                        Some(Err(_)) | None => (),
                    }
                }
                _ => (),
            }
            assert!(purse.used() <= purse.capacity, "seed {seed}");
        }
    }
}
