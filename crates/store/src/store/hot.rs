//! Memory as it was before a restart: which objects it had is written beside the disks, and those
//! that are still there are moved back, what would have gone last first.

use super::inner::{Inner, Promotion};
use crate::clock::Moment;
use crate::disk::{Disk, Found, Hot, HotFault, MOST_HOT, Warm};
use crate::meta::Meta;

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
        for (turn, (object, uses)) in (0..).zip(self.memory.hottest(MOST_HOT)) {
            let about = &object.about;
            let list = self.disks.place(&about.key).and_then(|place| lists.get_mut(place));
            if let Some(list) = list.filter(|_| about.keep_until >= now) {
                list.push(Hot { key: about.key.clone(), turn, uses });
            }
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
            match disk.take_warm() {
                Ok(warm) => listed.extend(warm.into_iter().map(|warm| (disk, warm))),
                Err(fault) => warmed.faults.push((place, fault)),
            }
        }
        listed.sort_by_key(|(_, warm)| warm.turn);
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
