//! What rules find in one whole request and its answer, for whoever wants to know why.

use std::sync::Arc;

use bytes::Bytes;
use http::{HeaderMap, StatusCode, Version};
use tidegate_waf::parse::Phase;
use tidegate_waf::{Hit, Match, Transaction};

use super::{Answered, Asked, Blocked, Coming, Findings, Inspection, Memory, Profile, Step, told};

/// Pieces in which a body comes.
const PIECE: usize = 16 << 10;
/// Bytes of a value as it was written.
const MOST_WRITTEN: usize = 512;

/// A request and what is answered to it.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Whole<'a> {
    pub asked: Asked<'a>,
    /// None if none would be judged.
    pub body: Option<&'a [u8]>,
    pub answer: Option<&'a WholeAnswer>,
}

/// An answer with its body.
#[derive(Debug, Clone)]
pub(crate) struct WholeAnswer {
    pub status: StatusCode,
    pub headers: HeaderMap,
    /// None where none follows such a head.
    pub body: Option<Vec<u8>>,
}

/// What a profile makes of a request.
#[derive(Debug, Clone)]
pub(crate) struct Explanation {
    /// Why it goes no further.
    pub refused: Option<Blocked>,
    /// Why it would not, if the rules did not only detect.
    pub detected: Option<Blocked>,
    pub request: Score,
    /// None if no answer was judged.
    pub answer: Option<Score>,
    /// The rules that matched and say so, in their order.
    pub matches: Vec<Explained>,
}

/// What rules count, and from which sum on they refuse, where they have one.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Score {
    pub sum: i64,
    pub threshold: Option<i64>,
}

/// A rule that matched.
#[derive(Debug, Clone)]
pub(crate) struct Explained {
    pub id: u32,
    pub of: Of,
    pub message: Vec<u8>,
    /// What it says about what it matched: `logdata`.
    pub data: Vec<u8>,
    pub severity: Option<&'static str>,
    /// What it added to the score.
    pub score: i64,
    /// The file and line of the rule.
    pub place: String,
    pub values: Vec<Judged>,
    /// The values that an exclusion would have to name.
    pub(super) decisive: Vec<Vec<u8>>,
}

/// What a rule judges.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Of {
    Request,
    Answer,
    /// Both: it only logs.
    Logs,
}

/// A value that a rule matched.
#[derive(Debug, Clone)]
pub(crate) struct Judged {
    /// As rules write it: `ARGS:q`.
    pub name: Vec<u8>,
    /// As it was before the transformations of the rule, if they changed it.
    pub written: Option<Vec<u8>>,
    /// What the rule saw, or a part of it.
    pub seen: Vec<u8>,
    /// Whether more of it stood before and after that.
    pub is_cut: [bool; 2],
    /// A rule says that nobody is to see it.
    pub is_masked: bool,
}

impl WholeAnswer {
    fn head(&self) -> Answered<'_> {
        let body = match self.body.as_ref().map(Vec::len) {
            None | Some(0) => Coming::Nothing,
            Some(bytes) => Coming::Bytes(bytes as u64),
        };
        let (status, headers) = (self.status, &self.headers);
        Answered { status, version: Version::HTTP_11, headers, body }
    }
}

impl Explanation {
    /// Why it is against the rules, whatever is done about that.
    pub(crate) fn against(&self) -> Option<&Blocked> {
        self.refused.as_ref().or(self.detected.as_ref())
    }

    /// The score that decided about what the rules are against: the answer's, or the request's.
    pub(crate) fn decisive(&self) -> (Of, Score) {
        match (self.against(), self.answer) {
            (Some(blocked), Some(answer)) if blocked.is_of_answer() => (Of::Answer, answer),
            _ => (Of::Request, self.request),
        }
    }
}

impl Profile {
    /// Judges a whole request, and its answer if it comes to that, as those that come are judged.
    pub(crate) fn explain(self: &Arc<Self>, whole: &Whole<'_>) -> Explanation {
        let (mut inspection, verdict) = self.inspect(&whole.asked);
        let mut refused = verdict.and_then(|()| send(&mut inspection, whole.body)).err();
        let answer = whole.answer.filter(|_| self.responses && refused.is_none());
        if let Some(answer) = answer {
            refused = take(&mut inspection, answer).err();
        }
        let [request, of_answer] = inspection.scores();
        let unjudged = whole.answer.filter(|_| refused.is_none()).map(WholeAnswer::head);
        let Findings { detected, .. } = inspection.finish(unjudged.as_ref());
        let engine = inspection.engine();
        let score = |sum: Option<i64>, threshold| Score {
            sum: sum.unwrap_or(0),
            threshold: engine.tx_number(threshold),
        };
        Explanation {
            refused,
            detected,
            request: score(request, "inbound_anomaly_score_threshold"),
            answer: answer.map(|_| score(of_answer, "outbound_anomaly_score_threshold")),
            matches: engine.matches().iter().map(|found| explained(found, engine)).collect(),
        }
    }

    /// Whether answers are judged, too.
    pub(crate) fn judges_answers(&self) -> bool {
        self.responses
    }
}

/// Has an answer judged in pieces, as it would come from a server.
fn take(inspection: &mut Inspection, answer: &WholeAnswer) -> Result<(), Blocked> {
    inspection.answer_head(&answer.head())?;
    let mut pieces = answer.body.as_deref().unwrap_or_default().chunks(PIECE);
    while inspection.is_answer_open() {
        match pieces.next() {
            Some(piece) => inspection.answer_piece(piece).map(|_| ())?,
            None => inspection.answer_end()?,
        }
    }
    Ok(())
}

/// Has a body judged in pieces, as it would come from a client.
fn send(inspection: &mut Inspection, body: Option<&[u8]>) -> Result<(), Blocked> {
    let coming = body.map_or(Coming::Nothing, |body| Coming::Bytes(body.len() as u64));
    let mut pieces = body.unwrap_or_default().chunks(PIECE);
    let mut step = inspection.expect(coming, &Arc::<Memory>::default(), None)?;
    while step == Step::Wait {
        match pieces.next() {
            Some(piece) => step = inspection.take(piece)?,
            None => {
                inspection.end(None)?;
                break;
            }
        }
    }
    inspection.settle(false);
    inspection.begin_attempt(false);
    for piece in pieces {
        inspection.pass(&mut Some(Bytes::copy_from_slice(piece)), false)?;
    }
    inspection.pass(&mut None, true)
}

fn explained(found: &Match, engine: &Transaction) -> Explained {
    Explained {
        id: found.id.0,
        of: match found.phase {
            Phase::RequestHeaders | Phase::RequestBody => Of::Request,
            Phase::ResponseHeaders | Phase::ResponseBody => Of::Answer,
            Phase::Logging => Of::Logs,
        },
        message: found.message.clone(),
        data: found.data.clone(),
        severity: found.severity.map(|severity| severity.name()),
        score: told::score(found, engine),
        place: format!("{}:{}", found.place.file.display(), found.place.line),
        values: told::own_hits(found).map(|hit| judged(hit, engine)).collect(),
        decisive: told::decisive_names(found).into_iter().map(<[u8]>::to_vec).collect(),
    }
}

fn judged(hit: &Hit, engine: &Transaction) -> Judged {
    let is_cut = [hit.offset > 0, hit.offset + hit.value.len() < hit.length];
    let mut written = engine.values_of(&hit.name);
    // Where there are two of a name, nobody can tell which it was.
    let written = match (written.next(), written.next()) {
        (Some(only), None) if is_cut == [false; 2] && *only != *hit.value && !hit.is_masked => {
            Some(only.iter().take(MOST_WRITTEN).copied().collect())
        }
        _ => None,
    };
    Judged {
        name: hit.name.clone(),
        written,
        seen: hit.value.clone(),
        is_cut: if hit.is_masked { [false; 2] } else { is_cut },
        is_masked: hit.is_masked,
    }
}
