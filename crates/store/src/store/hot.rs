//! Memory as it was before a restart: which objects it had is written beside the disks, and those
//! that are still there are moved back, what would have gone last first.

use std::cmp::Reverse;
use std::future::poll_fn;
use std::task::Poll;

use super::inner::{Inner, Promotion};
use crate::clock::Moment;
use crate::disk::{Disk, Found, Hot, HotFault, MOST_HOT, Warm};
use crate::memory::LISTED;
use crate::meta::Meta;
use crate::queue::Ranked;

/// Reads that a disk is told of before they are needed.
const AHEAD: usize = 32;

/// What was moved from disks into memory.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct Warmed {
    pub objects: u64,
    /// Bytes that they take on their disks.
    pub bytes: u64,
    /// Lists that were passed over, each by its disk's place.
    pub faults: Vec<(usize, HotFault)>,
}

impl<M: Meta> Inner<M> {
    pub(super) async fn save_hot(&self, now: Moment) -> Result<(), HotFault> {
        let mut lists: Vec<Vec<Hot>> = self.disks.iter().map(|_| Vec::new()).collect();
        for from in (0..).step_by(LISTED) {
            let Some(ranked) = self.memory.ranked(from) else { break };
            for Ranked { handle: object, rank } in ranked {
                let key = &object.about.key;
                // What was used to get into the main queue is to get there again.
                let uses = object.uses().max(u8::from(rank.is_main));
                let list = self.disks.place(key).and_then(|place| lists.get_mut(place));
                if let Some(list) = list.filter(|_| object.about.keep_until >= now) {
                    list.push(Hot { key: key.clone(), rank, uses });
                    shorten(list);
                }
            }
            pause().await;
        }
        let mut first_fault = None;
        for (disk, list) in self.disks.iter().zip(lists) {
            disk.notice(now);
            if let Err(fault) = disk.save_hot(list).await {
                first_fault = first_fault.or(Some(fault));
            }
        }
        first_fault.map_or(Ok(()), Err)
    }

    pub(super) async fn warm(&self, budget: u64, now: Moment) -> Warmed {
        let mut warmed = Warmed::default();
        let mut listed: Vec<(&Disk, Warm)> = Vec::new();
        for (place, disk) in self.disks.iter().enumerate() {
            match disk.take_warm().await {
                Ok(warm) => listed.extend(warm.into_iter().map(|warm| (disk, warm))),
                Err(fault) => warmed.faults.push((place, fault)),
            }
        }
        listed.sort_by_key(|(_, warm)| Reverse(warm.rank));
        for batch in listed.chunks(AHEAD) {
            let found =
                batch.iter().map(|(disk, warm)| Some((*disk, warm.uses, disk.expect(warm)?)));
            for (disk, uses, found) in found.collect::<Vec<_>>().into_iter().flatten() {
                let bytes = found.record_len();
                // What was asked for since the start does not go for what was before.
                if warmed.bytes + bytes > budget || !self.memory.has_room(bytes) {
                    return warmed;
                }
                if self.warm_one(disk, &found, uses, now).await {
                    warmed.objects += 1;
                    warmed.bytes += bytes;
                }
            }
            // Most reads need not wait.
            pause().await;
        }
        warmed
    }

    async fn warm_one(&self, disk: &Disk, found: &Found, uses: u8, now: Moment) -> bool {
        // It may have changed until its key is known, so it is looked for once more.
        let Ok(Some(record)) = disk.load_any(found).await else { return false };
        let key = self.seed.key(record.key());
        if self.memory.holds(&key) {
            return false;
        }
        self.load(&key, now, Promotion { most: self.longest, uses }).await;
        self.memory.holds(&key)
    }
}

/// Leaves what would go last, when there is twice what is listed.
fn shorten(list: &mut Vec<Hot>) {
    if list.len() >= 2 * MOST_HOT {
        list.select_nth_unstable_by_key(MOST_HOT, |hot| Reverse(hot.rank));
        list.truncate(MOST_HOT);
    }
}

/// Lets others have the thread.
async fn pause() {
    let mut is_first = true;
    let once = poll_fn(|context| match std::mem::take(&mut is_first) {
        true => {
            context.waker().wake_by_ref();
            Poll::Pending
        }
        false => Poll::Ready(()),
    });
    once.await;
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::key::Seed;
    use crate::queue::Rank;

    #[test]
    fn of_more_than_is_listed_those_stay_that_go_last() {
        let key = Seed::from_bytes([0; 16]).key(b"a");
        let mut list = Vec::new();
        for n in 0..5 * MOST_HOT as u32 / 2 {
            let turn = n.wrapping_mul(0x9e37_79b1);
            list.push(Hot { key: key.clone(), rank: Rank { is_main: n % 8 == 0, turn }, uses: 0 });
            shorten(&mut list);
            assert!(list.len() < 2 * MOST_HOT);
        }
        let main = list.iter().filter(|hot| hot.rank.is_main).count();
        assert_eq!(main, 5 * MOST_HOT / 2 / 8);
    }
}
