//! Drives the readers with samples that were spoilt a little, the same ones in every run.

use super::*;
use crate::body::fixture::{Dice, check_linear};

/// Inputs that a reader gets.
const ROUNDS: usize = 3_000;
/// Rules and transactions take longer.
const FEW_ROUNDS: usize = 400;
/// Where inputs are kept that a fuzzer found, by target.
const KEPT: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/../../fuzz/corpus");

const PIECES: &[&[u8]] = &[
    b"\0",
    b"\n",
    b"\r\n",
    b" ",
    b"\"",
    b"'",
    b"%",
    b"%00",
    b"%27",
    b"%u0027",
    b"&",
    b"&#39;",
    b"+",
    b",",
    b"--",
    b"--b",
    b"--b--\r\n",
    b"/",
    b"/*",
    b"*/",
    b"/../",
    b":",
    b";",
    b"<",
    b"<!--",
    b"<![CDATA[",
    b"=",
    b"?",
    b"[",
    b"\\",
    b"\\u0027",
    b"]",
    b"{",
    b"}",
    b"\xc3\xa9",
    b"\xff",
    b"|",
    b"@",
    b"chain",
    b"SecRule ",
    b"%{tx.x}",
    b"union select",
    b"18446744073709551616",
    b"Content-Encoding: gzip\n",
    b"Content-Type: application/json\n",
    b"Content-Disposition: ",
];

/// Prints what a reader was given when it panics.
struct Given<'a>(&'a [u8]);

impl Drop for Given<'_> {
    fn drop(&mut self) {
        if std::thread::panicking() {
            println!("given b\"{}\"", self.0.escape_ascii());
        }
    }
}

fn drive(target: &str, rounds: usize, samples: &[&[u8]], reader: impl Fn(&[u8])) {
    let give = |bytes: &[u8]| {
        let _given = Given(bytes);
        reader(bytes);
    };
    samples.iter().for_each(|sample| give(sample));
    let mut dice = Dice::new();
    for _ in 0..rounds {
        let sample = samples[dice.roll(samples.len())];
        give(&dice.mutate(sample, PIECES));
    }
    // A new target has none yet.
    for file in std::fs::read_dir(format!("{KEPT}/{target}")).into_iter().flatten() {
        give(&std::fs::read(file.unwrap().path()).unwrap());
    }
}

#[test]
fn texts_of_rules() {
    let lines: Vec<&[u8]> = RULES.as_bytes().split(|byte| *byte == b'\n').collect();
    let samples: Vec<Vec<u8>> = lines.chunks(6).map(|lines| lines.join(&b'\n')).collect();
    let samples: Vec<&[u8]> = samples.iter().map(Vec::as_slice).collect();
    drive("waf_rules", FEW_ROUNDS, &samples, rules);
}

#[test]
fn bodies_of_every_kind() {
    // The first bytes: which reader, and where it is cut.
    let form = b"\x02\x05--b\r\nContent-Disposition: form-data; name=\"a\"\r\n\r\nc\r\n--b\r\n\
        Content-Disposition: form-data; name=f; filename=\"g\"\r\n\r\nd\r\n--b--\r\n";
    let samples: [&[u8]; 9] = [
        b"\0\0a=1&b=%41+c&&=d&e",
        b"\x01\0$Version=1; a=\"1\"; $Path=/, b=2;;c",
        form,
        b"\x03\0{\"a\":[1,-2.5e3,null,true,{\"b\":\"\\u00e9\\n\"}],\"c\":{}}",
        b"\x04\0<?xml version='1.0'?><!DOCTYPE a><a b='c&lt;'>d<![CDATA[e]]><!-- f --><g/>&#65;</a>",
        b"\x05\x05\x1f\x8b\x08\0\0\0\0\0\0\x03\x4b\xb4\x4d\x2c\x29\x49\x4c\xce\x06\0F7\xd5F\x08\0\0\0",
        b"\x05\x06x\x9cK\xb4M,)IL\xce\x06\0\x0e\x8d\x03\x04",
        b"\x05\x07\x0b\x03\x80a=attack\x03",
        b"\x05\x03(\xb5/\xfd\x20\x08A\0\0a=attack",
    ];
    drive("waf_bodies", ROUNDS, &samples, bodies);
}

#[test]
fn expressions_of_every_kind() {
    let samples: [&[u8]; 8] = [
        b"(?i)(?:union|select)\\s+(\\w+)\nUNION  all",
        b"^(?:[a-z]{2,5}|\\x{e9})?+[^\\d-]*$\nabc\xe9",
        b"\\b(\\w+)\\b\\s*(?:=|like)\\s*(?!\\1\\b)\\w\na = b like b",
        b"(?>a+|(b))(?=c)(?!cd)(?:\\1|.)\naac ce",
        b"(?<!&(?:amp|lt));|x(?!yz)\n&lt;;x",
        b"(a|\\1b)+c|(?:(?=.*x)a)*+\naabcx",
        b"[[:alpha:]\\]-]+?(?#c)\\Q.*\\E(?m)^b$\na.*\nb",
        b"\n",
    ];
    drive("waf_patterns", ROUNDS, &samples, patterns);
}

#[test]
fn values_of_every_kind() {
    let samples: [&[u8]; 6] = [
        b"%3Cscript%3E+%u003c %zz &lt;&#x3c;&amp;&nbsp;",
        b"\\x3c\\u003c\\074\\n\\\\ \\3c /* a */ -- b <!-- c --> # d",
        b"PHNjcmlwdD4= 3c736372 0x3c73 ../a/./b//..\\c",
        b"c^\"m\"d, /c;  DIR\t'x'",
        b"\xc3\xa9 \xe2\x82\xac \xff\xfe \xf0\x9f\x98\x80 \0",
        b"",
    ];
    drive("waf_transformations", ROUNDS, &samples, transformations);
}

#[test]
fn requests_of_every_kind() {
    let samples: [&[u8]; 6] = [
        b"/a/../etc/?q=1'+or+'1'='1&p=UNION+select+password\nHost: a\nCookie: a=b; c=<script>\n\n",
        b"/?card=4111111111111111&secret=x\nContent-Type: application/x-www-form-urlencoded\n\n\
          p1=AAAA&b=%3Cscript%3Ealert(1)%3C/script%3E&c=10.0.0.1&d=%zz;e'",
        b"/\nX-Off: 1\nContent-Type: application/json\n\n{\"p\":[\"union select from\",{\"secret\":1}]}",
        b"/\nContent-Type: multipart/form-data; boundary=b\n\n--b\r\nContent-Disposition: \
          form-data; name=\"p\"\r\n\r\nunion select\r\n--b\r\nContent-Disposition: form-data; \
          name=\"f\"; filename=\"/etc/passwd\"\r\n\r\nd\r\n--b--\r\n",
        b"/\nContent-Type: text/xml\nContent-Encoding: identity\n\n<a b=\"1' or 1=1--\">select</a>",
        b"/\nContent-Type: application/x-www-form-urlencoded\nContent-Encoding: gzip\n\na=attack&p=1",
    ];
    let rules = Rules::new();
    drive("waf_transaction", FEW_ROUNDS, &samples, |bytes| transaction(&rules, bytes));
}

#[test]
fn a_request_takes_linear_time() {
    let rules = Rules::new();
    for piece in ["a", "'", "/*", "<", "a=&", "%25", "\\", "&#", "select ", "-", "\0", "(", "x;"] {
        for before in [
            "/?a=",
            "/\nCookie: a=",
            "/\nContent-Type: application/x-www-form-urlencoded\n\na=",
            "/\nContent-Type: application/json\n\n{\"a\":\"",
            "/\nContent-Type: text/xml\n\n<a>",
        ] {
            check_linear(&format!("{before}{piece}"), |times| {
                let request = [before, &piece.repeat(times / 8)].concat();
                judge(&rules.quick, request.as_bytes(), usize::MAX);
            });
        }
    }
}
