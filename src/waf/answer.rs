//! The answer to one request before the rules of its profile: how much of its body
//! is kept from the client until it is judged.

use bytes::{Bytes, BytesMut};

use super::decode::{self, Coding};
use super::inspection::{Coming, Step};
use super::judge::Judge;
use super::memory::Share;
use super::{Answered, Blocked, Mode, Profile};

/// How far an answer has come.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
enum State {
    /// There is none yet.
    #[default]
    Unseen,
    /// Its body is kept, as the profile refuses.
    Holding,
    /// The rules see its body beside the client, as the profile only detects.
    Watching,
    /// It is judged.
    Done,
}

/// The answer to one request.
#[derive(Debug, Default)]
pub(super) struct Answer {
    state: State,
    // Of its body, in the order in which they come off.
    codings: Vec<Coding>,
    // Bytes of the body that came.
    taken: u64,
    // What the client is to get once it is judged, or what is still to be decoded.
    held: BytesMut,
    share: Option<Share>,
}

impl Answer {
    /// Of what is kept, `share` tells.
    pub(super) fn with(share: Share) -> Self {
        Answer { share: Some(share), ..Answer::default() }
    }

    /// Judges the head, and says whether the client is to wait for the verdict on the body.
    pub(super) fn head(
        &mut self,
        answered: &Answered<'_>,
        profile: &Profile,
        judge: &mut Judge,
    ) -> Result<Step, Blocked> {
        let holds = profile.mode == Mode::Block;
        let judged = judge.answer_head(answered);
        if !judge.wants_answer() || answered.body == Coming::Nothing || judged.is_err() {
            self.state = State::Done;
            let judged = judged.and_then(|()| judge.answer_end());
            return if holds { judged.map(|()| Step::Pass) } else { Ok(Step::Pass) };
        }
        let rules = profile.rules.answers();
        let is_over = matches!(answered.body, Coming::Bytes(bytes) if bytes > rules.limit);
        if is_over && rules.refuses_larger && holds {
            self.state = State::Done;
            return Err(Blocked::AnswerOver);
        }
        self.codings = decode::codings(answered.headers);
        self.state = if holds { State::Holding } else { State::Watching };
        Ok(if holds { Step::Wait } else { Step::Pass })
    }

    /// Whether more of the body is to be judged.
    pub(super) fn is_open(&self) -> bool {
        matches!(self.state, State::Holding | State::Watching)
    }

    /// Takes the next piece of the body; what is held may go on after [`Step::Pass`].
    pub(super) fn take(
        &mut self,
        piece: &[u8],
        profile: &Profile,
        judge: &mut Judge,
    ) -> Result<Step, Blocked> {
        let (holds, is_encoded) = (self.state == State::Holding, !self.codings.is_empty());
        // What is held, and what the rules have of it.
        let copies = usize::from(holds || is_encoded) + usize::from(!is_encoded);
        if let Err(full) = self.count(copies * piece.len()) {
            if holds {
                self.state = State::Done;
                return Err(full);
            }
            // Who only watches does with what there is.
            return self.end(profile, judge).map(|()| Step::Pass);
        }
        self.taken += piece.len() as u64;
        if holds || is_encoded {
            self.held.extend_from_slice(piece);
        }
        if !is_encoded {
            judge.answer_body(piece);
        }
        let rules = profile.rules.answers();
        if self.taken <= rules.limit {
            return Ok(if holds { Step::Wait } else { Step::Pass });
        }
        if rules.refuses_larger && holds {
            self.state = State::Done;
            return Err(Blocked::AnswerOver);
        }
        self.end(profile, judge).map(|()| Step::Pass)
    }

    /// The body has ended, or nothing more of it is judged.
    pub(super) fn end(&mut self, profile: &Profile, judge: &mut Judge) -> Result<(), Blocked> {
        let was = std::mem::replace(&mut self.state, State::Done);
        if !self.codings.is_empty() {
            // One byte more tells that there is more.
            let most = usize::try_from(profile.rules.answers().limit).unwrap_or(usize::MAX);
            let plain = decode::decode(&self.codings, &self.held, most.saturating_add(1));
            match self.count(plain.len()) {
                Ok(()) => judge.answer_body(&plain),
                Err(full) if was == State::Holding => return Err(full),
                // Who only watches does with what there is.
                Err(_) => {}
            }
        }
        let judged = judge.answer_end();
        if was == State::Watching {
            self.release();
            return Ok(());
        }
        judged
    }

    /// What the client is to get now.
    pub(super) fn release(&mut self) -> Bytes {
        if let Some(share) = &mut self.share {
            share.clear();
        }
        std::mem::take(&mut self.held).freeze()
    }

    /// So many bytes more are kept, if there is room for them.
    fn count(&mut self, bytes: usize) -> Result<(), Blocked> {
        self.share.as_mut().map_or(Ok(()), |share| share.grow(bytes))
    }
}
