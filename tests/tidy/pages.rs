//! What the pages say about the code: that it is so.

use super::source::House;

const PAGES: [&str; 4] = ["README.md", "ARCHITECTURE.md", "STYLE.md", "CHANGELOG.md"];

/// The list of rooms stands in ARCHITECTURE.md as in src/lib.rs, and each room
/// in the tree.
pub(super) fn outdated_rooms(house: &House) -> Vec<String> {
    let page = house.get("ARCHITECTURE.md").expect("ARCHITECTURE.md");
    let lib = &house.get("src/lib.rs").expect("src/lib.rs").text;
    let list = lib.lines().filter(|line| !line.starts_with("//!")).collect::<Vec<_>>().join("\n");
    let mut faults = Vec::new();
    if !page.text.contains(list.trim()) {
        faults.push(page.fault(1, "does not show the list of src/lib.rs as it is"));
    }
    let tree = page.text.split("## ").find(|part| part.starts_with("Tree")).unwrap_or_default();
    let words: Vec<&str> = tree.split([' ', ',', '\n']).collect();
    for line in list.lines() {
        let Some(room) = line.trim_start_matches("pub ").strip_prefix("mod ") else { continue };
        let room = room.trim_end_matches(';');
        if !words.contains(&room) && !words.contains(&format!("{room}/").as_str()) {
            faults.push(page.fault(1, format!("the tree does not show `{room}`")));
        }
    }
    faults
}

/// Files that a page names as `path` or as (path), and that are not there.
pub(super) fn missing_files(house: &House) -> Vec<String> {
    let mut faults = Vec::new();
    for page in PAGES.iter().filter_map(|page| house.get(page)) {
        for (number, line) in page.lines() {
            let quoted = line.split('`').skip(1).step_by(2);
            let linked = line.split("](").skip(1).filter_map(|rest| rest.split(')').next());
            let named = quoted.chain(linked).filter(|name| is_file_name(name));
            let missing = named.filter(|name| !is_there(house, name.trim_start_matches("./")));
            faults.extend(missing.map(|name| page.fault(number, format!("there is no {name}"))));
        }
    }
    faults
}

fn is_file_name(text: &str) -> bool {
    let extensions = [".rs", ".sh", ".md", ".toml", ".yaml", ".svg"];
    let is_plain = !text.contains(|c: char| c.is_whitespace() || "*{}<>:".contains(c));
    is_plain && extensions.iter().any(|extension| text.ends_with(extension))
}

/// Whether a file has this path, or the end of its path from a `/` on.
fn is_there(house: &House, name: &str) -> bool {
    house.all().any(|file| {
        let before = file.path.strip_suffix(name);
        before.is_some_and(|before| before.is_empty() || before.ends_with('/'))
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    const LIB: &str = "//! Doc.\n\nmod units;\nmod route;\n";

    #[test]
    fn finds_rooms_that_the_page_does_not_know() {
        let check = |page: &str, expected: usize| {
            let house = House::of(&[("src/lib.rs", LIB), ("ARCHITECTURE.md", page)]);
            assert_eq!(outdated_rooms(&house).len(), expected, "{page}");
        };
        check("mod units;\nmod route;\n## Tree\nunits, fault\nroute/ which", 0);
        check("mod units;\n## Tree\nunits\nroute/ which", 1);
        check("mod units;\nmod route;\n## Tree\nunits", 1);
    }

    #[test]
    fn finds_names_of_files_that_are_not_there() {
        let check = |line: &str, expected: usize| {
            let house = House::of(&[("src/route/mod.rs", ""), ("README.md", line)]);
            assert_eq!(missing_files(&house).len(), expected, "{line}");
        };
        check("`route/mod.rs`, `mod.rs` and [this](src/route/mod.rs)", 0);
        check("`path.rs` and [that](docs/path.md)", 2);
        check("`oute/mod.rs`", 1);
        check("`conf.d/*.yaml` and `tidegate -c a.yaml`", 0);
    }
}
