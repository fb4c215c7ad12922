//! Every limit of the parser: far above what rule sets use, low enough to keep hostile text cheap.

/// One rules file, bytes; the largest file of CRS 4.28 has 200 KB.
pub const FILE_BYTES: usize = 16 << 20;
/// Files of one rule set, includes counted each time.
pub const FILES: usize = 4_096;
/// Files that include each other.
pub const INCLUDE_DEPTH: usize = 16;
/// Entries of a directory that an Include with wildcards looks through.
pub const DIRECTORY_ENTRIES: usize = 65_536;
/// Bytes of a path or pattern in an Include.
pub const PATH_BYTES: usize = 4_096;
/// Bytes of one directive, continuation lines joined; the longest of CRS 4.28 has 14 KB.
pub const LINE_BYTES: usize = 1 << 20;
/// Words of one directive.
pub const WORDS: usize = 4_096;
/// Directives of one rule set.
pub const DIRECTIVES: usize = 200_000;
/// Variables of one rule.
pub const TARGETS: usize = 1_024;
/// Actions of one rule.
pub const ACTIONS: usize = 512;
/// Rules of one chain.
pub const LINKS: usize = 64;
/// Text and macro pieces of one argument.
pub const PIECES: usize = 1_024;
/// Ids and id ranges of one directive.
pub const IDS: usize = 4_096;
/// Faults and, apart, warnings that are kept; later ones are counted.
pub const REPORTED: usize = 200;
