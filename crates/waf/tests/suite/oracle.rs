//! libmodsecurity, by the driver of scripts/waf: built where it can be, asked in one go.

use std::hash::{DefaultHasher, Hash, Hasher};
use std::io::{BufRead, BufReader, BufWriter, Write};
use std::path::{Path, PathBuf};
use std::process::{Child, ChildStdin, Command, Stdio};

use serde_json::Value;

use tidegate_suite::case::Stage;
use tidegate_suite::exchange;
use tidegate_suite::outcome::{Outcome, Scores};

use crate::remembered;
use crate::rules::{Setup, Source};

const SOURCES: [&str; 2] = ["oracle.cpp", "json.hpp"];

pub(crate) struct Oracle {
    program: PathBuf,
}

impl Oracle {
    /// Builds the driver, or says why it cannot be built. One of the same sources is kept.
    pub(crate) fn build() -> Result<Self, String> {
        let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../scripts/waf");
        let mut hasher = DefaultHasher::new();
        for name in SOURCES {
            std::fs::read(folder.join(name)).unwrap().hash(&mut hasher);
        }
        let program = remembered::file(&format!("oracle-{:x}", hasher.finish()));
        if program.is_file() {
            return Ok(Self { program });
        }
        if !Path::new("/usr/include/modsecurity/modsecurity.h").is_file() {
            return Err("there is no libmodsecurity-dev".to_owned());
        }
        let own = remembered::own_file();
        let output = Command::new("g++")
            .args(["-O2", "-std=c++17"])
            .arg(folder.join(SOURCES[0]))
            .arg("-o")
            .arg(&own)
            .arg("-lmodsecurity")
            .output()
            .map_err(|error| format!("there is no g++ ({error})"))?;
        if !output.status.success() {
            return Err(format!("g++ says {}", output.stderr.escape_ascii()));
        }
        std::fs::rename(&own, &program).unwrap();
        Ok(Self { program })
    }

    pub(crate) fn judge(&self, setup: &Setup, stages: &[Stage]) -> Vec<Outcome> {
        let requests: Vec<String> =
            stages.iter().map(|stage| stage.exchange.to_json().to_string()).collect();
        let lines = remembered::lines(&self.program, setup, &requests)
            .unwrap_or_else(|memory| memory.keep(self.ask(setup, &requests)));
        assert_eq!(lines.len(), stages.len(), "libmodsecurity ended early");
        let read = |line: &String| serde_json::from_str(line).unwrap();
        stages
            .iter()
            .zip(&lines)
            .map(|(stage, line)| outcome(stage, &read(line), &setup.scores))
            .collect()
    }

    fn ask(&self, setup: &Setup, requests: &[String]) -> Vec<String> {
        let mut child = self.start(setup);
        let stdin = child.stdin.take().unwrap();
        let stdout = BufReader::new(child.stdout.take().unwrap());
        let lines = std::thread::scope(|scope| {
            scope.spawn(|| send(stdin, requests));
            stdout.lines().map(Result::unwrap).collect()
        });
        assert!(child.wait().unwrap().success(), "libmodsecurity ended badly");
        lines
    }

    fn start(&self, setup: &Setup) -> Child {
        let mut command = Command::new(&self.program);
        command.arg("--lines");
        for name in setup.scores {
            command.args(["--tx", name]);
        }
        for source in &setup.sources {
            match source {
                Source::Text(text) => command.arg("--inline").arg(text),
                Source::File(path) => command.arg(path),
            };
        }
        command.stdin(Stdio::piped()).stdout(Stdio::piped()).spawn().unwrap()
    }
}

fn send(stdin: ChildStdin, requests: &[String]) {
    let mut stdin = BufWriter::new(stdin);
    for request in requests {
        writeln!(stdin, "{request}").expect("libmodsecurity listens");
    }
    stdin.flush().expect("libmodsecurity listens");
}

fn outcome(stage: &Stage, line: &Value, scores: &Scores) -> Outcome {
    let logged = line["logged"].as_array().unwrap().iter();
    let refused = line["refused"]["status"].as_u64();
    Outcome {
        logged: logged.map(|id| u32::try_from(id.as_u64().unwrap()).unwrap()).collect(),
        lines: line["lines"].as_array().unwrap().iter().map(exchange::bytes).collect(),
        status: refused.map_or(stage.exchange.response.status, |code| u16::try_from(code).unwrap()),
        is_refused: refused.is_some(),
        scores: scores
            .map(|name| {
                let score = line["tx"][name].as_str().and_then(|score| score.parse().ok());
                (name, score.unwrap_or(0))
            })
            .to_vec(),
    }
}
