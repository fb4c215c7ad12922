//! Ordinary values: templates, filled with words and with what is made here.

use std::collections::BTreeMap;

use base64::Engine;
use base64::engine::general_purpose::{STANDARD, URL_SAFE_NO_PAD};

use super::chance::Chance;

#[derive(Clone, Copy)]
pub(super) struct Template {
    pub(super) kind: &'static str,
    text: &'static str,
}

pub(super) struct Values {
    words: BTreeMap<&'static str, Vec<&'static str>>,
    pub(super) templates: Vec<Template>,
}

impl Values {
    pub(super) fn read() -> Self {
        let words = lines(include_str!("words.txt")).map(|line| {
            let (name, choices) = line.split_once(": ").unwrap();
            (name, choices.split('|').collect())
        });
        let templates = lines(include_str!("templates.txt")).map(|line| {
            let (kind, text) = line.split_once('|').unwrap();
            Template { kind, text }
        });
        Self { words: words.collect(), templates: templates.collect() }
    }

    pub(super) fn of_kinds(&self, kinds: &[&str]) -> Vec<Template> {
        let all = self.templates.iter();
        all.filter(|template| kinds.contains(&template.kind)).copied().collect()
    }

    pub(super) fn fill(&self, template: Template, chance: &mut Chance) -> String {
        let mut filled = String::new();
        let mut rest = template.text;
        while let Some((before, (name, after))) =
            rest.split_once('«').and_then(|(before, rest)| Some((before, rest.split_once('»')?)))
        {
            filled.push_str(&lines_broken(before));
            match self.words.get(name) {
                Some(choices) => filled.push_str(chance.pick::<&str>(choices)),
                None => filled.push_str(&made(name, chance)),
            }
            rest = after;
        }
        filled.push_str(&lines_broken(rest));
        filled
    }
}

fn lines(text: &'static str) -> impl Iterator<Item = &'static str> {
    text.lines().filter(|line| !line.is_empty() && !line.starts_with("# "))
}

/// `\n` and `\t` are what they stand for, `\\n` is not.
fn lines_broken(text: &str) -> String {
    text.replace("\\\\n", "\u{1}").replace("\\n", "\n").replace("\\t", "\t").replace('\u{1}', "\\n")
}

fn made(name: &str, chance: &mut Chance) -> String {
    let number = chance.next();
    match name {
        "n" => (number % 10_u64.pow(1 + u32::try_from(number >> 32 & 3).unwrap())).to_string(),
        "date" => {
            format!("20{}-{:02}-{:02}", 20 + number % 9, 1 + number / 9 % 12, 1 + number / 108 % 28)
        }
        "time" => format!("{:02}:{:02}", number % 24, number / 24 % 60),
        "hex" => format!("{number:016x}{:016x}", chance.next()),
        "uuid" => {
            let (low, bytes) = (chance.next(), number.to_be_bytes());
            format!(
                "{:08x}-{:04x}-4{:03x}-a{:03x}-{:012x}",
                number >> 32,
                number >> 16 & 0xffff,
                u16::from(bytes[7]),
                low >> 52,
                low & 0xffff_ffff_ffff
            )
        }
        "id" => {
            let letters = b"abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ";
            (0..4 + number % 9).map(|_| char::from(*chance.pick(letters))).collect()
        }
        "base64" => STANDARD.encode(bytes(12 + number % 40, chance)),
        "jwt" => {
            let claims = format!("{{\"sub\":\"{number}\",\"name\":\"Anna O'Brien\",\"iat\":1700}}");
            let signature = URL_SAFE_NO_PAD.encode(bytes(32, chance));
            format!("eyJhbGciOiJIUzI1NiJ9.{}.{signature}", URL_SAFE_NO_PAD.encode(claims))
        }
        "email" => format!("anna.o'brien+{}@mail{}.example.com", number % 97, number % 7),
        "url" => format!("https://www{}.example.com/a/{:x}", number % 9, number >> 40),
        _ => panic!("no words for {name}"),
    }
}

fn bytes(count: u64, chance: &mut Chance) -> Vec<u8> {
    (0..count).map(|_| chance.next().to_be_bytes()[0]).collect()
}
