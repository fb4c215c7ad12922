//! One reader of a body, whole or on its way in.

use std::sync::Arc;

use bytes::Bytes;

use super::flow::{Broken, Flow, check_range};
use super::parts::Parts;

/// Reads a body from a position to another or to its end.
pub(crate) struct Reader {
    source: Source,
    position: u64,
    end: Option<u64>,
}

enum Source {
    Whole { parts: Parts, length: u64 },
    Running { flow: Arc<Flow>, seat: usize },
}

impl Reader {
    pub(crate) fn whole(parts: Parts) -> Self {
        let length = parts.len();
        Self { source: Source::Whole { parts, length }, position: 0, end: None }
    }

    /// None if the beginning is gone, or the fill has failed.
    pub(crate) fn follow(flow: &Arc<Flow>) -> Option<Self> {
        let seat = flow.join()?;
        let source = Source::Running { flow: flow.clone(), seat };
        Some(Self { source, position: 0, end: None })
    }

    /// The next bytes, as they lie together; None at the end. Waits for a fill
    /// that is under way. May be dropped while it waits.
    ///
    /// A reader to the end sees that only if the body is complete. One that
    /// was told where to stop has its bytes before.
    pub(crate) async fn next(&mut self) -> Result<Option<Bytes>, Broken> {
        let next = match &self.source {
            Source::Whole { parts, length } => {
                let end = self.end.unwrap_or(*length);
                parts.at(self.position, end).filter(|part| !part.is_empty())
            }
            Source::Running { flow, seat } => flow.next(*seat, self.position, self.end).await?,
        };
        self.position += next.as_ref().map_or(0, |bytes| bytes.len() as u64);
        Ok(next)
    }

    /// Reads from `start` on, and to before `end` if there is one; forwards and
    /// backwards, and ahead of a fill that has not come so far.
    pub(crate) fn seek(&mut self, start: u64, end: Option<u64>) -> Result<(), Broken> {
        match &self.source {
            Source::Whole { length, .. } => check_range(start, end, Some(*length))?,
            Source::Running { flow, seat } => flow.seek(*seat, start, end)?,
        }
        (self.position, self.end) = (start, end);
        Ok(())
    }

    /// Where the next byte is.
    pub(crate) fn position(&self) -> u64 {
        self.position
    }

    /// How long the body is, if that is known.
    pub(crate) fn length(&self) -> Option<u64> {
        match &self.source {
            Source::Whole { length, .. } => Some(*length),
            Source::Running { flow, .. } => flow.length(),
        }
    }
}

impl Drop for Reader {
    fn drop(&mut self) {
        if let Source::Running { flow, seat } = &self.source {
            flow.leave(*seat);
        }
    }
}
