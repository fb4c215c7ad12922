//! Rules of Tidegate's own, so that it protects with no download: what `rules: builtin` means.
//!
//! They are SecLang like all others and know the settings and tags of the OWASP Core Rule Set by
//! its names. How bodies are read is left to those who load them, as with any rule set.

#[cfg(test)]
mod tests;

/// The rules as named texts, in the order in which they are to be read.
///
/// What comes before them sets, where their defaults are not meant, `tx.blocking_paranoia_level`,
/// `tx.detection_paranoia_level` (1 or 2), `tx.inbound_anomaly_score_threshold` and
/// `tx.outbound_anomaly_score_threshold`, and chooses processors of bodies; what comes after
/// removes rules or their targets. Their ids are those from 7,100,000 to 7,199,999.
#[must_use]
pub fn builtin() -> &'static [(&'static str, &'static str)] {
    &TEXTS
}

const TEXTS: [(&str, &str); 11] = [
    ("builtin/00-start.conf", include_str!("00-start.conf")),
    ("builtin/10-scanners.conf", include_str!("10-scanners.conf")),
    ("builtin/20-protocol.conf", include_str!("20-protocol.conf")),
    ("builtin/30-files.conf", include_str!("30-files.conf")),
    ("builtin/40-commands.conf", include_str!("40-commands.conf")),
    ("builtin/50-sql.conf", include_str!("50-sql.conf")),
    ("builtin/60-scripts.conf", include_str!("60-scripts.conf")),
    ("builtin/65-code.conf", include_str!("65-code.conf")),
    ("builtin/70-decide.conf", include_str!("70-decide.conf")),
    ("builtin/80-answers.conf", include_str!("80-answers.conf")),
    ("builtin/90-decide-answers.conf", include_str!("90-decide-answers.conf")),
];
