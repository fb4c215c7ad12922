//! Tombs: that a key is removed is in the index at once, and owed to the disk until a record says
//! so. The thread that writes pays when it is asked to, and whenever it looks after the directory.

use std::sync::Arc;

use crate::clock::Moment;
use crate::labels::Labels;
use crate::version::FillId;

use super::fault::Trouble;
use super::figures::Health;
use super::footer::Line;
use super::jobs::Skipped;
use super::name::Queue;
use super::record::{Content, Draft, Kind};
use super::segment::Segment;
use super::table::Spot;
use super::writer::Writer;

impl Writer {
    /// Writes the record of a tomb, if one is owed.
    pub(crate) fn bury(&mut self, tag: u64) -> Result<(), Trouble> {
        let Some(spot) = self.platter.holdings.index.peek(tag).filter(Spot::is_owed) else {
            return Ok(());
        };
        let (segment, line) = self.append_tomb(tag, spot.stamp)?;
        self.platter.holdings.relocate(&spot, &segment, &line, 0);
        Ok(())
    }

    /// A record was written that must never be seen, not after a start either.
    pub(crate) fn bury_unseen(&mut self, tag: u64, stamp: u64) -> Result<(), Trouble> {
        self.platter.holdings.hide(tag, stamp.saturating_add(1));
        self.bury(tag)
    }

    /// What was to be written is not: what it was to take the place of is not kept either.
    pub(crate) fn give_up(&self, tag: u64) {
        self.platter.holdings.entomb(tag, |_| true);
    }

    /// Writes the tombs that are owed.
    pub(crate) fn pay(&mut self) -> Result<(), Trouble> {
        loop {
            let owed = self.platter.holdings.index.some_owed();
            if owed.is_empty() || self.platter.counters.health() != Health::Working {
                return Ok(());
            }
            for tag in owed {
                self.bury(tag)?;
            }
        }
    }

    /// An error says why tombs are owed.
    pub(crate) fn paid(&self) -> Result<(), Skipped> {
        match self.platter.counters.health() {
            Health::Working => Ok(()),
            _ if self.platter.holdings.index.owed() == 0 => Ok(()),
            Health::Full => Err(Skipped::Full),
            Health::Out => Err(Skipped::Out),
        }
    }

    fn append_tomb(&mut self, tag: u64, stamp: u64) -> Result<(Arc<Segment>, Line), Trouble> {
        let now = self.platter.now();
        let labels = Labels::default();
        let draft = Draft {
            kind: Kind::Tomb,
            hash: u128::from(tag),
            stamp,
            fill: FillId::from_bits(0),
            created: now,
            keep_until: Moment::default(),
            key: &[],
            meta: &[],
            labels: &labels,
            body: Content::Bytes(&[]),
        };
        self.append(Queue::Main, &draft)
    }
}
