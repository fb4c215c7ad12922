//! Rule ids, and lists of ids and ranges.

use std::fmt;

use crate::parse::bounds::IDS;
use crate::parse::fault::Fault;
use crate::parse::text::Part;

const ID: &str = "a number from 1 to 4294967295";
const LIST: &str = "ids and ranges like 942100 or 942100-942199";

/// A rule's id, at least 1.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct RuleId(pub u32);

impl fmt::Display for RuleId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(&self.0, f)
    }
}

/// Ids from `first` to `last`, both included.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct IdRange {
    // Invariant: first ≤ last.
    pub first: RuleId,
    pub last: RuleId,
}

/// An id range, or one link of a chain by its position after the starter.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct LinkRange {
    pub ids: IdRange,
    pub link: usize,
}

pub(crate) fn parse_id(part: Part<'_>) -> Result<RuleId, Fault> {
    let number = part.trim().number().and_then(|number| u32::try_from(number).ok());
    let id = number.filter(|id| *id > 0).ok_or_else(|| Fault::wrong(part, "an id", ID))?;
    Ok(RuleId(id))
}

/// One id or range.
pub(crate) fn parse_range(part: Part<'_>) -> Result<IdRange, Fault> {
    let (first, last) = match part.split_once(b'-') {
        Some((first, last)) => (parse_id(first)?, parse_id(last)?),
        None => {
            let id = parse_id(part)?;
            (id, id)
        }
    };
    if first > last {
        return Err(Fault::wrong(part, "an id range", "the smaller id first"));
    }
    Ok(IdRange { first, last })
}

/// Appends the ids and ranges of one word, divided by commas or blanks.
pub(crate) fn parse_list(word: Part<'_>, ranges: &mut Vec<IdRange>) -> Result<(), Fault> {
    each(word, |item| {
        if ranges.len() == IDS {
            return Err(Fault::too_many(item, "ids in one directive", IDS));
        }
        ranges.push(parse_range(item)?);
        Ok(())
    })
}

/// The ids and ranges of one word, each perhaps with `:LINK`.
pub(crate) fn parse_links(word: Part<'_>) -> Result<Vec<LinkRange>, Fault> {
    let mut ranges = Vec::new();
    each(word, |item| {
        if ranges.len() == IDS {
            return Err(Fault::too_many(item, "ids in one directive", IDS));
        }
        let (ids, link) = item.split_once(b':').map_or((item, None), |(ids, l)| (ids, Some(l)));
        let number =
            link.map_or(Some(0), |link| link.number().and_then(|n| usize::try_from(n).ok()));
        let Some(link) = number else {
            return Err(Fault::wrong(
                item,
                "a link",
                "ID:NUMBER, counted from the starter, which is 0",
            ));
        };
        ranges.push(LinkRange { ids: parse_range(ids)?, link });
        Ok(())
    })?;
    Ok(ranges)
}

fn each<'a>(
    word: Part<'a>,
    mut parse: impl FnMut(Part<'a>) -> Result<(), Fault>,
) -> Result<(), Fault> {
    let mut rest = word.trim();
    if rest.is_empty() {
        return Err(Fault::wrong(word, "an id list", LIST));
    }
    while !rest.is_empty() {
        let end = rest.bytes().iter().position(|b| *b == b',' || b.is_ascii_whitespace());
        let end = end.unwrap_or(rest.len());
        parse(rest.before(end))?;
        let next = rest.after(end).trim();
        rest = next.strip(b',').map_or(next, Part::trim);
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::parse::fixture;

    fn check(written: &str, expected: &str) {
        let mut ranges = Vec::new();
        let shown = match parse_list(fixture::text(written).whole(), &mut ranges) {
            Ok(()) => {
                let shown: Vec<_> =
                    ranges.iter().map(|range| format!("{}-{}", range.first, range.last)).collect();
                shown.join(" ")
            }
            Err(fault) => fault.to_string(),
        };
        assert_eq!(shown, expected, "{written}");
    }

    #[test]
    fn reads_ids_and_ranges() {
        check("1", "1-1");
        check("1,2 3-9, 10", "1-1 2-2 3-9 10-10");
        check("1 , 2", "1-1 2-2");
    }

    #[test]
    fn refuses_what_is_no_id() {
        check(
            "",
            "f:1:1: an id list cannot be ``: write ids and ranges like 942100 or 942100-942199",
        );
        check("0", "f:1:1: an id cannot be `0`: write a number from 1 to 4294967295");
        check("1,x", "f:1:3: an id cannot be `x`: write a number from 1 to 4294967295");
        check("9-1", "f:1:1: an id range cannot be `9-1`: write the smaller id first");
        check(
            "4294967296",
            "f:1:1: an id cannot be `4294967296`: write a number from 1 to 4294967295",
        );
    }

    #[test]
    fn reads_links_of_a_chain() {
        let links = parse_links(fixture::text("5:2,6-7").whole()).unwrap();
        let shown: Vec<_> = links.iter().map(|l| (l.ids.first.0, l.ids.last.0, l.link)).collect();
        assert_eq!(shown, [(5, 5, 2), (6, 7, 0)]);
        assert!(parse_links(fixture::text("5:x").whole()).is_err());
    }
}
