//! What rules find in one whole request, for whoever wants to know why.

use std::sync::Arc;

use bytes::Bytes;
use tidegate_waf::{Hit, Match, Transaction};

use super::{Asked, Blocked, Coming, Findings, Inspection, Memory, Profile, Step, told};

/// Pieces in which a body comes.
const PIECE: usize = 16 << 10;
/// Bytes of a value as it was written.
const MOST_WRITTEN: usize = 512;

/// What a profile makes of a request.
#[derive(Debug, Clone)]
pub(crate) struct Explanation {
    /// Why it goes no further.
    pub refused: Option<Blocked>,
    /// Why it would not, if the rules did not only detect.
    pub detected: Option<Blocked>,
    pub score: i64,
    /// The score from which on it is refused, where the rules have one.
    pub threshold: Option<i64>,
    /// The rules that matched and say so, in their order.
    pub matches: Vec<Explained>,
}

/// A rule that matched.
#[derive(Debug, Clone)]
pub(crate) struct Explained {
    pub id: u32,
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

impl Explanation {
    /// Why it is against the rules, whatever is done about that.
    pub(crate) fn against(&self) -> Option<&Blocked> {
        self.refused.as_ref().or(self.detected.as_ref())
    }
}

impl Profile {
    /// Judges a whole request as one that comes is judged; no body if none would be.
    pub(crate) fn explain(self: &Arc<Self>, asked: &Asked<'_>, body: Option<&[u8]>) -> Explanation {
        let (mut inspection, verdict) = self.inspect(asked);
        let verdict = verdict.and_then(|()| send(&mut inspection, body));
        let Findings { score, detected, .. } = inspection.findings();
        let engine = inspection.engine();
        Explanation {
            refused: verdict.err(),
            detected,
            score,
            threshold: engine.tx_number("inbound_anomaly_score_threshold"),
            matches: engine.matches().iter().map(|found| explained(found, engine)).collect(),
        }
    }
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
