//! Rules and requests that chance makes: shortcuts change nothing of what is said of them.

use std::path::Path;
use std::sync::Arc;

use super::shortcuts::{Request, judge};
use crate::operator::{Dice, expression, value};
use crate::parse::{Fault, NoFiles, Reader};
use crate::rules::RuleSet;

const SETS: usize = 150;
/// Of each set of rules.
const REQUESTS: usize = 12;

const WORDS: [&str; 16] = [
    "select", "union", "0x", "ab", "foo", "Sel", "<b>", "../", "a", "xyz", "--", "oo-", "on", "ba",
    "\u{e9}", "zz9_",
];
const TARGETS: [&str; 16] = [
    "ARGS",
    "ARGS",
    "ARGS:a",
    "ARGS:/^[bc]/",
    "ARGS_NAMES",
    "ARGS_GET",
    "ARGS_POST:b",
    "REQUEST_HEADERS",
    "REQUEST_HEADERS:x-a",
    "REQUEST_COOKIES",
    "REQUEST_URI",
    "QUERY_STRING",
    "REQUEST_BODY",
    "&ARGS:b",
    "TX:/^t/",
    "RESPONSE_BODY",
];
const EXCLUDED: [&str; 4] =
    ["!ARGS:a", "!REQUEST_HEADERS:Host", "!ARGS:/c$/", "!REQUEST_COOKIES:a"];
const STEPS: [&str; 16] = [
    "lowercase",
    "lowercase",
    "uppercase",
    "urlDecodeUni",
    "urlDecode",
    "htmlEntityDecode",
    "removeNulls",
    "compressWhitespace",
    "removeWhitespace",
    "cmdLine",
    "replaceComments",
    "hexEncode",
    "base64Decode",
    "length",
    "trim",
    "none",
];
const ACTIONS: [&str; 12] = [
    "multiMatch",
    "multiMatch",
    "multiMatch",
    "capture",
    "setvar:tx.t%{ARGS.b}=%{MATCHED_VAR}",
    "setvar:tx.inbound_anomaly_score_pl1=+3",
    "skip:2",
    "ctl:ruleRemoveById=5",
    "ctl:ruleRemoveTargetById=3-12;ARGS:b",
    "ctl:ruleRemoveTargetById=3-12;REQUEST_HEADERS",
    "logdata:'%{MATCHED_VAR_NAME} %{TX.0}'",
    "nolog",
];

/// Rules with ids from 1 on.
fn rules(dice: &mut Dice) -> String {
    let mut text = String::from(
        "SecRuleEngine DetectionOnly\nSecRequestBodyAccess On\nSecResponseBodyAccess On\n",
    );
    let mut is_link = false;
    for id in 1..=3 + dice.roll(18) {
        let mut some = |from: &[&str], most: usize| -> Vec<String> {
            (0..dice.roll(most + 1)).map(|_| from[dice.roll(from.len())].to_owned()).collect()
        };
        let mut targets = [some(&TARGETS, 2), some(&EXCLUDED, 1)].concat();
        let words = some(&WORDS, 4).join(" ");
        let steps = some(&STEPS, 3).into_iter().map(|step| format!("t:{step}"));
        let mut actions: Vec<String> = steps.collect();
        actions.extend(some(&ACTIONS, 2));
        if is_link {
            actions.retain(|action| !["skip:2", "nolog"].contains(&action.as_str()));
            actions.retain(|action| !action.starts_with("logdata"));
        } else {
            let phase = ["1", "2", "2", "2", "4"][dice.roll(5)];
            actions.extend([format!("id:{id}"), format!("phase:{phase}"), "pass".to_owned()]);
        }
        targets.insert(0, TARGETS[dice.roll(TARGETS.len())].to_owned());
        let word = WORDS[dice.roll(WORDS.len())];
        let operator = match dice.roll(16) {
            0..=7 => format!("@rx {}", expression(dice)),
            8 | 9 => format!("@pm {word} {words}"),
            10 => format!("@contains {word}"),
            11 => format!("@beginsWith {word}"),
            12 => format!("@within {words} {word}"),
            13 => "@validateByteRange 1-127".to_owned(),
            14 => format!("@endsWith {word}"),
            _ => format!("@gt {}", dice.roll(20)),
        };
        let negation = if dice.roll(6) == 0 { "!" } else { "" };
        is_link = dice.roll(6) == 0;
        if is_link {
            actions.push("chain".to_owned());
        }
        text += &format!(
            "SecRule {} \"{negation}{operator}\" \"{}\"\n",
            targets.join("|"),
            actions.join(",")
        );
    }
    if is_link {
        text += "SecRule ARGS \"@rx .\" \"t:none\"\n";
    }
    text
}

fn load(text: &str) -> RuleSet {
    // What does not suit is no rule, in both.
    let skip = |_: &Fault| true;
    let mut reader = Reader::new(&NoFiles, &skip);
    reader.text(Path::new("rules.conf"), text.as_bytes());
    let tree = reader.finish().expect("all is skipped");
    RuleSet::compile(&tree, &NoFiles, &skip).expect("all is skipped")
}

fn some_value(dice: &mut Dice) -> Vec<u8> {
    let lengths = [2, 8, 30, 63, 65, 400, 1_022];
    let length = lengths[dice.roll(lengths.len())] + dice.roll(5);
    let mut value = value(dice, length);
    for _ in 0..dice.roll(4) {
        let (at, word) = (dice.roll(value.len() + 1), WORDS[dice.roll(WORDS.len())]);
        let end = value.len().min(at + word.len());
        let mut word = word.as_bytes().to_vec();
        match dice.roll(4) {
            0 => word.make_ascii_uppercase(),
            1 => word = word.iter().flat_map(|byte| format!("%{byte:02x}").into_bytes()).collect(),
            _ => {}
        }
        value.splice(at..end, word);
    }
    value
}

fn escaped(value: &[u8]) -> Vec<u8> {
    let escaped = value.iter().flat_map(|byte| match byte {
        b'0'..=b'9' | b'a'..=b'z' | b'A'..=b'Z' | b'-' | b'_' => vec![*byte],
        _ => format!("%{byte:02x}").into_bytes(),
    });
    escaped.collect()
}

fn request(dice: &mut Dice) -> Request {
    let pairs = |dice: &mut Dice| {
        let all = (0..dice.roll(4)).map(|_| {
            let name = ["a", "b", "bc", "c", "Foo"][dice.roll(5)];
            [name.as_bytes(), b"=", &escaped(&some_value(dice))].concat()
        });
        all.collect::<Vec<_>>().join(&b'&')
    };
    let mut target = b"/ab/?".to_vec();
    target.extend(pairs(dice));
    let header = |name: &str, value: &[u8]| (name.as_bytes().to_vec(), value.to_vec());
    let mut headers = vec![
        header("Host", b"a.example"),
        header("Content-Type", b"application/x-www-form-urlencoded"),
    ];
    for name in ["X-A", "X-B", "Cookie"] {
        if dice.roll(2) == 0 {
            let before: &[u8] = if name == "Cookie" { b"a=" } else { b"" };
            headers.push(header(name, &[before, &some_value(dice)].concat()));
        }
    }
    Request { method: b"POST".to_vec(), target, headers, body: pairs(dice) }
}

#[test]
fn shortcuts_change_nothing_of_what_chance_makes() {
    let mut dice = Dice::new(21);
    let (mut judged, mut matches) = (0, 0);
    for _ in 0..SETS {
        let text = rules(&mut dice);
        let (quick, plain) = (Arc::new(load(&text)), Arc::new(load(&text).without_shortcuts()));
        for _ in 0..REQUESTS {
            let request = request(&mut dice);
            let (told, expected) = (judge(&quick, &request), judge(&plain, &request));
            assert_eq!(told, expected, "{text}\n{request:?}");
            matches += told.matches.len();
            judged += quick.rules.len();
        }
    }
    assert!(matches > judged / 10 && matches < judged / 2, "{matches} of {judged}");
}
