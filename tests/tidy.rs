//! Holds the code to the rules of ARCHITECTURE.md and STYLE.md that no
//! compiler checks. Every fault is told with its file and line.

mod keys;
mod pages;
mod rooms;
mod shape;
mod source;
mod words;

use source::House;

#[track_caller]
fn assert_tidy(rule: &str, faults: &[String]) {
    assert!(faults.is_empty(), "{rule}\n  {}", faults.join("\n  "));
}

#[test]
fn rooms_look_back_never_ahead() {
    assert_tidy(
        "a room uses only rooms declared above it in src/lib.rs",
        &rooms::looks_ahead(&House::read()),
    );
}

#[test]
fn rooms_are_entered_by_their_door() {
    assert_tidy(
        "what a room has for others is declared in its door; its files are its own",
        &rooms::open_siblings(&House::read()),
    );
}

#[test]
fn only_adapters_name_pingora() {
    assert_tidy(
        "pingora is named, beyond header types, by proxy, server and the adapters alone",
        &rooms::strangers_to_pingora(&House::read()),
    );
}

#[test]
fn crates_stay_what_they_are_for() {
    assert_tidy(
        "crates/* depend on no pingora, waf on no tokio, store on no HTTP types",
        &rooms::wrong_dependencies(&House::read()),
    );
}

#[test]
fn every_file_is_reachable() {
    assert_tidy(
        "a file that no `mod` leads to is neither built nor tested",
        &shape::unreachable_files(&House::read()),
    );
}

#[test]
fn functions_are_short() {
    assert_tidy("a function has at most 70 lines", &shape::long_functions(&House::read()));
}

#[test]
fn files_are_short() {
    assert_tidy(
        "a file has at most 400 lines before its tests",
        &shape::long_files(&House::read()),
    );
}

#[test]
fn files_are_named_for_what_they_hold() {
    assert_tidy("these names say nothing", &shape::empty_names(&House::read()));
}

#[test]
fn nothing_is_left_undone() {
    assert_tidy(
        "no unfinished code, no ignored test, no note without an issue",
        &words::unfinished(&House::read()),
    );
}

#[test]
fn no_lint_is_silenced_for_good() {
    assert_tidy(
        "write #[expect(lint, reason = \"...\")], which says so when it is needed no more",
        &words::silenced_lints(&House::read()),
    );
}

#[test]
fn there_is_no_unsafe_code_in_src() {
    assert_tidy("unsafe code lives in crates/", &words::unsafe_code(&House::read()));
}

#[test]
fn the_workplace_is_not_mentioned() {
    assert_tidy(
        "where and how the code was written is not its readers' business",
        &words::workplace(&House::read()),
    );
}

#[test]
fn every_key_is_tested() {
    assert_tidy(
        "a key has a test that shows what it does, and a bad value that is refused",
        &keys::untested(&House::read()),
    );
}

#[test]
fn pages_know_the_rooms() {
    assert_tidy(
        "ARCHITECTURE.md is kept true as the code grows",
        &pages::outdated_rooms(&House::read()),
    );
}

#[test]
fn pages_name_files_that_are_there() {
    assert_tidy("a page names what is there", &pages::missing_files(&House::read()));
}
