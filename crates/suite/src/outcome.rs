//! What became of a request: the rules that logged, the scores, the decision.

/// Variables that are compared.
pub type Scores = [&'static str; 4];

/// Those of CRS 4, and those of CRS 3.
pub const SCORES: Scores = [
    "blocking_inbound_anomaly_score",
    "detection_inbound_anomaly_score",
    "blocking_outbound_anomaly_score",
    "detection_outbound_anomaly_score",
];
pub const SCORES_OF_3: Scores =
    ["anomaly_score", "inbound_anomaly_score", "sql_injection_score", "outbound_anomaly_score"];

#[derive(Clone, Debug, Default)]
pub struct Outcome {
    pub logged: Vec<u32>,
    /// What a rule that logged says: `[id "1"] [msg "..."] [data "..."]` and maybe more.
    pub lines: Vec<Vec<u8>>,
    /// What the client is answered: that of the server where nothing was refused.
    pub status: u16,
    pub is_refused: bool,
    /// 0 where none was set.
    pub scores: Vec<(&'static str, i64)>,
}

impl Outcome {
    /// What another judge of the same request finds otherwise.
    pub fn differences(&self, theirs: &Self) -> Vec<String> {
        let mut differences = Vec::new();
        if (self.is_refused, self.status) != (theirs.is_refused, theirs.status) {
            differences.push(format!("answered {} instead of {}", self.status, theirs.status));
        }
        for ((name, ours), (_, theirs)) in self.scores.iter().zip(&theirs.scores) {
            if ours != theirs {
                differences.push(format!("{name} {ours} instead of {theirs}"));
            }
        }
        if !differences.is_empty() {
            let only = |these: &[u32], those: &[u32]| -> Vec<u32> {
                these.iter().filter(|id| !those.contains(id)).copied().collect()
            };
            let more = only(&self.logged, &theirs.logged);
            let fewer = only(&theirs.logged, &self.logged);
            differences.push(format!("more {more:?}, fewer {fewer:?}"));
        }
        differences
    }
}

#[cfg(test)]
mod tests {
    use super::{Outcome, SCORES};

    #[track_caller]
    fn check(ours: Outcome, theirs: Outcome, expected: &[&str]) {
        assert_eq!(ours.differences(&theirs), expected);
    }

    #[test]
    fn decisions_and_scores_are_compared() {
        let scores = |all: [i64; 4]| SCORES.into_iter().zip(all).collect();
        let first = scores([5, 5, 0, 0]);
        let ours = Outcome { scores: first, logged: vec![1], ..Outcome::default() };
        check(ours.clone(), Outcome { logged: vec![2], ..ours.clone() }, &[]);
        let others = scores([5, 5, 4, 0]);
        let theirs = Outcome { scores: others, logged: vec![1, 7], ..ours.clone() };
        let scores = "blocking_outbound_anomaly_score 0 instead of 4";
        check(ours.clone(), theirs, &[scores, "more [], fewer [7]"]);
        let theirs = Outcome { is_refused: true, status: 403, ..ours.clone() };
        check(ours, theirs, &["answered 0 instead of 403", "more [], fewer []"]);
    }
}
