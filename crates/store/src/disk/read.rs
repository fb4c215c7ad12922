//! From an entry of the index to the bytes of an object: without waiting if they are in memory,
//! by a thread of the pool if not. Whatever does not fit its checksum is dropped.

use std::ops::Range;
use std::sync::Arc;

use bytes::Bytes;
use tokio::sync::oneshot;

use crate::clock::Moment;
use crate::key::Key;
use crate::labels::Labels;
use crate::version::Version;

use super::fault::DiskFault;
use super::figures::Health;
use super::file::Prompt;
use super::platter::Platter;
use super::pool::Ask;
use super::record::{BLOCK, Head, Header, Kind, UNIT};
use super::segment::Segment;
use super::table::Spot;

/// Records up to this are read whole at once, of longer ones the head.
const SMALL: u64 = 16 * 1024;
const HEAD: usize = 4 * 1024;
/// So much of a record is asked of the kernel ahead of a reader that had to wait.
const AHEAD: u64 = 1024 * 1024;

/// Where an object is, if it is still what the index says.
#[derive(Debug, Clone)]
pub struct Found {
    pub(crate) segment: Arc<Segment>,
    pub(crate) spot: Spot,
}

/// An object on a disk: its head in memory, its body to be read. It stays readable while it is
/// held, also after it was evicted.
pub struct Record {
    platter: Arc<Platter>,
    found: Found,
    head: Head,
    /// The first bytes of the record, from its header on.
    front: Bytes,
}

impl Record {
    /// When its fill, or its last validation, began.
    pub fn created(&self) -> Moment {
        self.head.header.created
    }

    pub fn version(&self) -> Version {
        self.head.header.version()
    }

    pub fn keep_until(&self) -> Moment {
        self.head.header.keep_until
    }

    pub(crate) fn key(&self) -> &[u8] {
        &self.head.key
    }

    pub fn meta(&self) -> &Bytes {
        &self.head.meta
    }

    pub fn labels(&self) -> &Labels {
        &self.head.labels
    }

    /// Bytes of the body.
    pub fn body_len(&self) -> u64 {
        self.head.header.body_len
    }

    /// These bytes of the body; what lies beyond its end is left out. They are all held in
    /// memory, with up to 64 KiB before and after: who reads much asks for it in steps.
    pub async fn read(&self, range: Range<u64>) -> Result<Bytes, DiskFault> {
        let len = range.end.min(self.body_len()).saturating_sub(range.start);
        let bytes = self.read_intact(range).await?;
        if bytes.len() as u64 == len { Ok(bytes) } else { Err(DiskFault::Damaged) }
    }

    /// The same, but only up to a block of 64 KiB that is damaged, if one of them is; an error if
    /// they begin in it. The object is found no more then.
    pub async fn read_intact(&self, range: Range<u64>) -> Result<Bytes, DiskFault> {
        let end = range.end.min(self.body_len());
        if range.start >= end {
            return Ok(Bytes::new());
        }
        let first = range.start / BLOCK as u64;
        let from = first * BLOCK as u64;
        let until = end.next_multiple_of(BLOCK as u64).min(self.body_len());
        let bytes = self.blocks(from..until).await?;
        // Both are within a body, which is at most 512 MiB.
        let intact = from + self.head.intact(first as usize, &bytes) as u64;
        if intact < until {
            let fault = self.platter.damaged(&self.found.spot);
            if intact <= range.start {
                return Err(fault);
            }
        }
        Ok(bytes.slice((range.start - from) as usize..(end.min(intact) - from) as usize))
    }

    async fn blocks(&self, range: Range<u64>) -> Result<Bytes, DiskFault> {
        let head = self.head.header.head_len() as u64;
        let (from, until) = (head + range.start, head + range.end);
        if until <= self.front.len() as u64 {
            return Ok(self.front.slice(from as usize..until as usize));
        }
        let Found { segment, spot } = &self.found;
        let at = u64::from(spot.at) * UNIT;
        let rest = head + self.body_len() - until;
        let bytes = self.platter.read(segment, at + from, (until - from) as usize, rest).await;
        Ok(self.platter.given(spot, bytes)?.into())
    }
}

impl std::fmt::Debug for Record {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Record").field("found", &self.found).field("head", &self.head).finish()
    }
}

impl Platter {
    /// Reads what an object needs before its body. `None`: it is another key's.
    pub(crate) async fn load(
        self: &Arc<Self>,
        found: &Found,
        key: &Key,
    ) -> Result<Option<Record>, DiskFault> {
        let record = self.load_any(found).await?;
        Ok(record.filter(|record| record.head.key == key.bytes()))
    }

    /// The same for whatever key it is of. `None` if there is no object.
    pub(crate) async fn load_any(
        self: &Arc<Self>,
        found: &Found,
    ) -> Result<Option<Record>, DiskFault> {
        let Found { segment, spot } = found;
        let at = u64::from(spot.at) * UNIT;
        let len = u64::from(spot.len) * UNIT;
        let first = if len <= SMALL { len as usize } else { HEAD };
        let mut front = self.given(spot, self.read(segment, at, first, 0).await)?;
        let Ok(header) = Header::decode(&front, segment.salt) else {
            return Err(self.damaged(spot));
        };
        if header.hash as u64 != spot.tag || header.record_len() != len {
            return Err(self.damaged(spot));
        }
        if header.kind != Kind::Object {
            return Ok(None);
        }
        let head_len = header.head_len();
        if let Some(missing) = head_len.checked_sub(front.len()).filter(|missing| *missing > 0) {
            let more = self.read(segment, at + front.len() as u64, missing, 0).await;
            let more = self.given(spot, more)?;
            front.extend_from_slice(&more);
        }
        let front = Bytes::from(front);
        let Ok(head) = Head::decode(header, &front) else {
            return Err(self.damaged(spot));
        };
        Ok(Some(Record { platter: self.clone(), found: found.clone(), head, front }))
    }

    /// At most `len` bytes: fewer where the file ends. `rest` bytes are likely to be read next.
    async fn read(
        &self,
        segment: &Arc<Segment>,
        at: u64,
        len: usize,
        rest: u64,
    ) -> Result<Vec<u8>, DiskFault> {
        if self.counters.health() == Health::Out {
            return Err(DiskFault::Out);
        }
        let mut buffer = vec![0; len];
        let mut filled = 0;
        if !self.blind() {
            match segment.file.read_prompt(&mut buffer, at) {
                Ok(Prompt::Whole) => {
                    self.counters.reads_prompt.one();
                    return Ok(buffer);
                }
                Ok(Prompt::Part(part)) => filled = part,
                Ok(Prompt::Unknown) => self.go_blind(),
                Err(errno) => return Err(self.read_failed(errno)),
            }
        }
        let (reply, answer) = oneshot::channel();
        let ask = Ask { segment: segment.clone(), at, buffer, filled, reply };
        if !self.pool.offer(ask) {
            self.counters.reads_refused.one();
            return Err(DiskFault::Busy);
        }
        self.counters.reads_waited.one();
        segment.file.expect(at + len as u64, rest.min(AHEAD));
        match answer.await {
            Ok(Ok(buffer)) => Ok(buffer),
            Ok(Err(errno)) => Err(self.read_failed(errno)),
            // The disk was closed.
            Err(_) => Err(DiskFault::Out),
        }
    }
}
