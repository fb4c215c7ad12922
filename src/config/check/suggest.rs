//! "Did you mean ...?"

/// The candidate that was probably meant, if one is near enough.
pub(in crate::config) fn suggest<'s>(
    written: &str,
    candidates: impl Iterator<Item = &'s str>,
) -> Option<&'s str> {
    // One slip in three letters: more would suggest unrelated words.
    let allowed = written.chars().count().div_ceil(3);
    let written = plain(written);
    candidates
        .map(|candidate| (strsim::damerau_levenshtein(&written, &plain(candidate)), candidate))
        .filter(|(distance, _)| *distance <= allowed)
        .min_by_key(|(distance, _)| *distance)
        .map(|(_, candidate)| candidate)
}

/// The hint at the end of a fault, empty without a suggestion.
pub(in crate::config) fn hint(meant: Option<&str>) -> String {
    meant.map(|meant| format!(" (did you mean `{meant}`?)")).unwrap_or_default()
}

/// `min-version`, `minVersion` and `MIN_VERSION` are all `min_version`.
fn plain(word: &str) -> String {
    word.chars().filter(|c| !"-_ ".contains(*c)).flat_map(char::to_lowercase).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(written: &str, expected: Option<&str>) {
        let known = ["listeners", "upstreams", "min_version", "on", "weight"];
        assert_eq!(suggest(written, known.into_iter()), expected, "{written}");
    }

    #[test]
    fn suggests_only_what_is_near() {
        check("listener", Some("listeners"));
        check("upstream", Some("upstreams"));
        check("minVersion", Some("min_version"));
        check("MIN-VERSION", Some("min_version"));
        check("wieght", Some("weight"));
        check("location", None);
        check("x", None);
        check("", None);
    }
}
