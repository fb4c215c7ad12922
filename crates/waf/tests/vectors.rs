//! The transformations against the test vectors that ModSecurity and others share.
//!
//! They lie beside the project, which holds no copy of them.

use std::borrow::Cow;
use std::path::{Path, PathBuf};
use std::{env, fs};

use serde_json::Value;
use tidegate_waf::{Transformation, UnicodeMap};

const VECTORS: &str = "../../../shared/secrules-language-tests/transformations";

/// A transformation that was proposed, but is in no release of ModSecurity.
const NOT_OF_SECLANG: &str = "phpArgsNames";

struct Vector {
    name: String,
    input: Vec<u8>,
    output: Vec<u8>,
}

impl Vector {
    fn read(test: &Value) -> Self {
        let text = |key: &str| test[key].as_str().expect("the value is a string").to_owned();
        let (name, mut input) = (text("name"), text("input"));
        if name == "cssDecode" {
            // The vector had `\0` before it was made JSON; ModSecurity's tests end at that NUL.
            input = input.replace("\\\0", "\\0");
        }
        Self { name, input: unescape(&input), output: unescape(&text("output")) }
    }

    /// None if it passes.
    fn fault(&self) -> Option<String> {
        let found = transformation(&self.name).apply(&self.input);
        let is_borrowed = matches!(found, Cow::Borrowed(_));
        if *found == *self.output && is_borrowed == (self.input == self.output) {
            return None;
        }
        let (input, output) = (self.input.escape_ascii(), self.output.escape_ascii());
        let found = found.escape_ascii();
        Some(format!("{}: {input}\n  became  {found}\n  but not {output}", self.name))
    }
}

fn transformation(name: &str) -> Transformation {
    match name {
        "cmd_line" => Transformation::CmdLine,
        // The vectors were made without `SecUnicodeMapFile`.
        "urlDecodeUni" => Transformation::UrlDecodeUni(UnicodeMap::Unset),
        _ => name.parse().expect("the vectors name a transformation"),
    }
}

/// Reads `\xHH` and `\uHHHH` as ModSecurity's own tests do: any two or four letters and digits
/// count, those at the start that are hexadecimal are read.
fn unescape(text: &str) -> Vec<u8> {
    let mut out = Vec::new();
    let mut rest = text.as_bytes();
    while let [first, after @ ..] = rest {
        let length = match rest {
            [b'\\', b'x', ..] => 2,
            [b'\\', b'u', ..] => 4,
            _ => 0,
        };
        let digits = rest.get(2..2 + length).filter(|_| length > 0).unwrap_or_default();
        if digits.is_empty() || !digits.iter().all(u8::is_ascii_alphanumeric) {
            out.push(*first);
            rest = after;
            continue;
        }
        let values = digits.iter().map_while(|&digit| char::from(digit).to_digit(16));
        let code = values.fold(0_u32, |code, digit| code * 16 + digit);
        out.push(code.to_le_bytes()[0]);
        rest = &rest[2 + length..];
    }
    out
}

/// From the folder of the crate, which cargo names to its tests.
fn folder() -> PathBuf {
    let here = env::var_os("CARGO_MANIFEST_DIR").expect("cargo names the folder of the crate");
    Path::new(&here).join(VECTORS)
}

fn read_all(folder: &Path) -> Vec<Vector> {
    let files = fs::read_dir(folder).expect("the vectors can be listed");
    let mut paths: Vec<PathBuf> =
        files.map(|file| file.expect("the vectors can be listed").path()).collect();
    paths.sort();
    let mut vectors = Vec::new();
    for path in paths {
        let text = fs::read_to_string(&path).expect("a vector file can be read");
        let tests: Value = serde_json::from_str(&text).expect("a vector file is JSON");
        let tests = tests.as_array().expect("a vector file holds a list");
        vectors.extend(tests.iter().map(Vector::read));
    }
    vectors
}

#[test]
fn vectors_of_all_transformations_pass() {
    let folder = folder();
    if !folder.is_dir() {
        println!("nothing tested: there is no {}", folder.display());
        return;
    }
    let all = read_all(&folder);
    let count = all.len();
    let ours: Vec<Vector> =
        all.into_iter().filter(|vector| vector.name != NOT_OF_SECLANG).collect();
    let faults: Vec<String> = ours.iter().filter_map(Vector::fault).collect();
    println!(
        "{} passed, {} failed, {} of {NOT_OF_SECLANG} left out",
        ours.len() - faults.len(),
        faults.len(),
        count - ours.len()
    );
    assert!(!ours.is_empty(), "the vector files are empty");
    assert!(faults.is_empty(), "{}", faults.join("\n"));
}
