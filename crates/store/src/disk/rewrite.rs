//! Validated objects: new metadata before a body that is copied from where it lies, within the
//! kernel and unread. Each block keeps its checksum, so that no damage is made good by it.

use std::sync::Arc;

use crate::version::Version;

use super::fault::{DiskFault, Trouble};
use super::footer::Line;
use super::jobs::Entry;
use super::name::Queue;
use super::platter::Platter;
use super::record::{Content, Draft, HEADER, Head, Header, Kind, UNIT};
use super::segment::Segment;
use super::table::Spot;
use super::writer::{FREED, Writer};

/// An object that is written once more.
struct Old {
    segment: Arc<Segment>,
    spot: Spot,
    head: Head,
}

impl Writer {
    /// Writes an object anew, with what an entry without a body says.
    pub(crate) fn rewrite(&mut self, tag: u64, of: Version, entry: &Entry) -> Result<(), Trouble> {
        let known = self.platter.holdings.locate(tag).filter(|(_, spot)| !spot.tomb);
        let Some((segment, spot)) = known else { return Ok(()) };
        // A failure to read is counted where it happened, and is none of writing.
        let head = self.platter.read_head(&segment, &spot, entry.key.bytes());
        let Ok(Some(head)) = head else { return Ok(()) };
        if head.header.version() != of {
            return Ok(());
        }
        let (queue, stamp) = self.place(tag, entry.created);
        let old = Old { segment, spot, head };
        let content = Content::Copied(&old.head);
        let draft = Draft { body: content, ..entry.draft(old.head.header.hash, stamp) };
        if draft.record_len() > self.platter.segment / 2 {
            // Longer metadata may make it so: then it is not kept, as if it were new.
            self.platter.counters.skipped.one();
            self.give_up(tag);
            return Ok(());
        }
        let copied = match self.copy(queue, &draft, &old) {
            Err(Trouble::Full) => {
                self.platter.counters.full.one();
                self.free(FREED)?;
                self.copy(queue, &draft, &old)?
            }
            other => other?,
        };
        let Some((segment, line)) = copied else {
            self.platter.drop_object(&old.spot);
            return Ok(());
        };
        self.platter.counters.rewritten.one();
        self.platter.counters.rewritten_bytes.add(draft.record_len());
        self.show(tag, &segment, &line)
    }

    /// `None` if the device does not give the body.
    fn copy(
        &mut self,
        queue: Queue,
        draft: &Draft<'_>,
        old: &Old,
    ) -> Result<Option<(Arc<Segment>, Line)>, Trouble> {
        let active = self.ready(queue, draft.record_len())?;
        let segment = active.segment.clone();
        // What is too long is not copied.
        let (header, head) = draft.encode(segment.salt).ok_or(Trouble::Full)?;
        let from = u64::from(old.spot.at) * UNIT + old.head.header.head_len() as u64;
        match active.copy(&header, &head, &old.segment, from) {
            Ok(line) => Ok(Some((segment, line))),
            Err(errno) => {
                // It is the trouble, or the old record.
                self.platter.copy_failed(errno, &old.segment, from, header.body_len)?;
                Ok(None)
            }
        }
    }
}

impl Platter {
    /// The head of a record, by the thread that writes. `None` if it is not of this key.
    fn read_head(
        &self,
        segment: &Segment,
        spot: &Spot,
        key: &[u8],
    ) -> Result<Option<Head>, DiskFault> {
        let at = u64::from(spot.at) * UNIT;
        let read = |len: usize| -> Result<Vec<u8>, DiskFault> {
            let mut bytes = vec![0; len];
            let read =
                segment.file.read_at(&mut bytes, at).map_err(|errno| self.read_failed(errno));
            bytes.truncate(self.given(spot, read)?);
            Ok(bytes)
        };
        let fixed = read(HEADER)?;
        let header = Header::decode(&fixed, segment.salt).ok();
        let header = header.filter(|header| header.record_len() == u64::from(spot.len) * UNIT);
        let Some(header) = header.filter(|header| header.kind == Kind::Object) else {
            return Err(self.damaged(spot));
        };
        let bytes = read(header.head_len())?.into();
        let Ok(head) = Head::decode(header, &bytes) else { return Err(self.damaged(spot)) };
        Ok((head.key == key).then_some(head))
    }
}
