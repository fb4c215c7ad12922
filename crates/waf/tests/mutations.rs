//! No text makes the parser panic, lose a place, or take more than linear time.

#![expect(clippy::unwrap_used, reason = "a test that cannot go on fails")]

use std::path::Path;

use tidegate_waf::parse::{Faults, NoFiles, Reader, Tree};

const SAMPLE: &str = r#"# A comment \
SecRuleEngine On
SecRule "ARGS|!ARGS:/a|b/|&TX:'/x y/'|XML:/*|XML://@*" "!@rx (?i)^\"a\d{1,3}$" \
    "id:942100,\
    phase:2,\
    block,\
    capture,\
    t:none,t:urlDecodeUni,\
    msg:'It\'s %{TX.0} in %{MATCHED_VAR_NAME}',\
    tag:'paranoia-level/1',\
    severity:'CRITICAL',\
    setvar:'tx.score=+%{tx.critical_anomaly_score}',\
    chain"
    SecRule REQUEST_HEADERS:Host "@within %{tx.hosts}" \
        "ctl:ruleRemoveTargetById=942000-942999;ARGS:password,\
        setvar:!tx.a,expirevar:ip.b=60,initcol:ip=%{REMOTE_ADDR}"
SecMarker "END"
SecDefaultAction "phase:1,log,auditlog,pass"
SecRuleUpdateTargetById 1-5 "!REQUEST_COOKIES:/^_ga(?:_\w+)?$/"
SecRuleUpdateActionById 5:1 "redirect:'http://%{request_headers.host}/'"
SecRuleRemoveById 1 2 "3-4"
SecResponseBodyMimeType text/plain text/html
Include rules/[a-c]*.conf
"#;

const PIECES: &[&[u8]] = &[
    b"\"",
    b"'",
    b"\\",
    b"\\\n",
    b"\n",
    b"%{",
    b"}",
    b"|",
    b",",
    b":",
    b"/",
    b"!",
    b"&",
    b"@",
    b"=",
    b"\0",
    b"\xff",
    b"\r\n",
    b" ",
    b"#",
    b"SecRule ",
    b"chain",
    b"id:",
    b"setvar:",
    b"ctl:",
    b"-",
    b"9999999999999999999999",
];

fn read(text: &[u8]) -> Result<Tree, Faults> {
    let mut reader = Reader::new(&NoFiles, &|_| false);
    reader.text(Path::new("f"), text);
    reader.finish()
}

/// A small generator, so that a failure repeats.
struct Dice(u64);

impl Dice {
    fn roll(&mut self, sides: usize) -> usize {
        self.0 =
            self.0.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        usize::try_from(self.0 >> 33).unwrap() % sides.max(1)
    }
}

fn mutate(text: &mut Vec<u8>, dice: &mut Dice) {
    let at = dice.roll(text.len());
    match dice.roll(4) {
        0 => text.splice(at..at, PIECES[dice.roll(PIECES.len())].iter().copied()).for_each(drop),
        1 => text.drain(at..(at + 1 + dice.roll(8)).min(text.len())).for_each(drop),
        2 => text[at] = u8::try_from(dice.roll(256)).unwrap(),
        _ => {
            let end = (at + dice.roll(64)).min(text.len());
            let copied = text[at..end].to_vec();
            let to = dice.roll(text.len());
            text.splice(to..to, copied).for_each(drop);
        }
    }
}

#[test]
fn the_sample_is_right_without_its_include() {
    let text = SAMPLE.replace("Include rules/[a-c]*.conf\n", "");
    let tree = read(text.as_bytes()).unwrap();
    assert_eq!(tree.directives.len(), 7);
}

#[test]
fn mutated_rules_never_panic_and_faults_have_places() {
    let mut dice = Dice(42);
    for _ in 0..5_000 {
        let mut text = SAMPLE.as_bytes().to_vec();
        for _ in 0..=dice.roll(6) {
            mutate(&mut text, &mut dice);
        }
        let lines = text.split(|byte| *byte == b'\n').count();
        let Err(faults) = read(&text) else { continue };
        for fault in &faults.0 {
            let line = usize::try_from(fault.place.line).unwrap();
            assert!((1..=lines).contains(&line), "{fault} in {}", String::from_utf8_lossy(&text));
            assert!(!fault.to_string().is_empty());
        }
    }
}

#[test]
fn hostile_text_takes_linear_time() {
    // Each has a quarter of a mebibyte; a quadratic step would take minutes.
    let pieces: [&str; 14] = [
        "\"", "'", "\\\n", "\n", " \n", "#\\\n", "%{", "|", ",", "a:'", "='", "/|", "SecRule ",
        "[*",
    ];
    let around = [
        ("", ""),
        ("SecRule \"", "\" a"),
        ("SecRule ARGS:/", "/ \"x\""),
        ("SecRule ARGS \"@streq ", "\""),
        ("SecAction \"id:1,", "\""),
        ("SecAction \"id:1,msg:", "\""),
        ("SecRuleRemoveById \"", "\""),
        ("Include \"", "\""),
    ];
    for piece in pieces {
        for (before, after) in around {
            let middle = piece.repeat((1 << 18) / piece.len());
            // Right or wrong, it ends.
            drop(read(format!("{before}{middle}{after}").as_bytes()));
        }
    }
}
