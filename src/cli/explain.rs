//! `tidegate explain`: what the rules of a configuration find in a request, and in an
//! answer to it, and what would let them pass. Nothing is sent, and nobody is asked but the rules.

mod curl;
mod log_line;
mod request;
mod response;
mod matched;
mod court;
mod told;

use std::fs;
use std::io::{self, Read as _, Write as _};
use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::path::PathBuf;
use std::process::ExitCode;

use anyhow::{Context, Result, anyhow, bail};
use clap::{Args, ValueEnum};

use crate::config::{self, Config, Written};
use crate::log::Metrics;
use crate::site::Site;
use crate::waf::WholeAnswer;

use self::court::{Case, Court, Search};
use self::curl::Curl;
use self::log_line::Rebuilt;
use self::request::Raw;
use self::told::{Outcome, Told};

/// The most that is read of a request, or of an answer.
const MOST: u64 = 64 << 20;
/// Where the request would have come in, if the configuration does not say.
const NOWHERE: SocketAddr = SocketAddr::new(IpAddr::V4(Ipv4Addr::LOCALHOST), 80);

/// What is to be explained, and by what.
#[derive(Debug, Args)]
pub(super) struct Options {
    /// A file with a request as HTTP/1.1 has it or with a line of the security log, or a URL;
    /// `-` is standard input.
    #[arg(value_name = "REQUEST")]
    request: Option<String>,
    /// The configuration file.
    #[arg(short, long, value_name = "FILE", default_value = "conf/tidegate.yaml")]
    conf: PathBuf,
    /// The profile of `waf`; that of the request's route if absent.
    #[arg(long, value_name = "NAME")]
    profile: Option<String>,
    /// Who asks.
    #[arg(long, value_name = "ADDRESS")]
    client: Option<IpAddr>,
    /// The listener that it comes in by; all of them if absent.
    #[arg(long, value_name = "ADDRESS")]
    listener: Option<String>,
    /// A file with the answer of a server to it, as HTTP/1.1 has it or as `curl -i` shows it, to
    /// be judged as well; `-` is standard input.
    #[arg(long, value_name = "FILE")]
    response: Option<String>,
    /// How to say what was found.
    #[arg(long, value_name = "FORMAT", default_value = "text")]
    format: Format,
    #[command(flatten)]
    curl: Curl,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
enum Format {
    Text,
    Json,
}

/// Answers on standard output; says on standard error why it cannot.
pub(super) fn run(options: &Options) -> ExitCode {
    let told = match explain(options) {
        Ok(told) => told,
        Err(error) => {
            super::say(&format!("{error:#}"));
            return ExitCode::from(2);
        }
    };
    let text = match options.format {
        Format::Text => told.text(),
        Format::Json => told.json(),
    };
    match writeln!(io::stdout(), "{text}") {
        Ok(()) if told.is_refused() => ExitCode::FAILURE,
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            super::say(&format!("standard output: {error}"));
            ExitCode::from(2)
        }
    }
}

fn explain(options: &Options) -> Result<Told> {
    if [&options.request, &options.response].iter().all(|file| file.as_deref() == Some("-")) {
        bail!("standard input is either the request or the answer; write one of them in a file");
    }
    let Input { name, text, rebuilt } = input(options)?;
    let request =
        Raw::split(&text).and_then(Raw::read).map_err(|error| anyhow!("{name} {error:#}"))?;
    let answer = options.response.as_deref().map(answer).transpose()?;
    let (config, site) = load(options)?;
    let logged = rebuilt.as_ref().and_then(|rebuilt| rebuilt.client.as_ref()?.parse().ok());
    let client = options.client.or(logged).unwrap_or(IpAddr::V4(Ipv4Addr::LOCALHOST));
    let (rules_of_log, refusal_of_log) =
        rebuilt.map(|rebuilt| (rebuilt.rules, rebuilt.refusal)).unwrap_or_default();
    let listeners = listeners(options, &config)?;
    let request = match request {
        Ok(request) => request,
        Err(malformed) => return Ok(Told::of(Outcome::Malformed(malformed))),
    };
    let profile = options.profile.as_deref();
    let mut court = Court::new(&config, &site, profile, Case { request, answer, client });
    let told = judge(&mut court, &listeners)?;
    Ok(Told { rules_of_log, refusal_of_log, ..told })
}

/// Judges by each listener; what they do not agree about is told of each.
fn judge(court: &mut Court<'_>, listeners: &[SocketAddr]) -> Result<Told> {
    let mut different: Vec<(SocketAddr, Outcome)> = Vec::new();
    for listener in listeners {
        let outcome = court.judge(*listener, Search::Nothing)?;
        if !different.iter().any(|(_, other)| other.is_same(&outcome)) {
            different.push((*listener, outcome));
        }
    }
    // What refuses it is what is to be explained.
    let first = different.iter().position(|(_, outcome)| outcome.is_refused()).unwrap_or(0);
    let (listener, _) = different.remove(first);
    let outcome = court.judge(listener, Search::Exclusions)?;
    let listener = (!different.is_empty()).then(|| listener.to_string());
    let others = different.into_iter().map(|(listener, other)| (listener.to_string(), other));
    Ok(Told { listener, others: others.collect(), ..Told::of(outcome) })
}

/// The listeners that a request may come in by; never none.
fn listeners(options: &Options, config: &Config) -> Result<Vec<SocketAddr>> {
    let all = || config.listeners.iter();
    if let Some(name) = &options.listener {
        let address: Option<SocketAddr> = name.parse().ok();
        let is_meant =
            |written: &str| written == name || address.is_some() && written.parse().ok() == address;
        let Some(found) = all().find(|listener| is_meant(&listener.address)) else {
            let names = all().map(|listener| listener.address.as_str());
            bail!("{}", config::unknown("listener", name, names));
        };
        return Ok(vec![found.address.parse()?]);
    }
    let found: Vec<_> = all().filter_map(|listener| listener.address.parse().ok()).collect();
    Ok(if found.is_empty() { vec![NOWHERE] } else { found })
}

/// The answer that a file has.
fn answer(path: &str) -> Result<WholeAnswer> {
    let (name, text) = read_named(path)?;
    response::read(&text).map_err(|error| anyhow!("{name} {error:#}"))
}

/// What is to be explained.
struct Input {
    /// What it is called in faults.
    name: String,
    text: Vec<u8>,
    rebuilt: Option<Rebuilt>,
}

fn input(options: &Options) -> Result<Input> {
    let curl = &options.curl;
    let given = match (&options.request, &curl.url) {
        (Some(_), Some(_)) => bail!("a URL is written once: with --url or without"),
        (None, Some(url)) => return of_curl(curl, url),
        (given, None) => given.as_deref(),
    };
    let Some(given) = given else {
        bail!("nothing to explain; write the name of a file with a request, -, or a URL");
    };
    if given.contains("://") {
        return of_curl(curl, given);
    }
    if curl.says_something() {
        bail!("`{given}` is a file; the options for URLs change nothing about it");
    }
    let (name, text) = read_named(given)?;
    if !log_line::is_log_line(&text) {
        return Ok(Input { name, text, rebuilt: None });
    }
    let mut rebuilt = log_line::rebuild(&text).map_err(|error| anyhow!("{name} {error:#}"))?;
    let text = std::mem::take(&mut rebuilt.request);
    Ok(Input { name, text, rebuilt: Some(rebuilt) })
}

fn of_curl(curl: &Curl, url: &str) -> Result<Input> {
    Ok(Input { name: "the request".to_owned(), text: curl.request(url)?, rebuilt: None })
}

/// What a file has, or standard input, and what it is called in faults.
fn read_named(path: &str) -> Result<(String, Vec<u8>)> {
    if path == "-" {
        return Ok(("standard input".to_owned(), read(io::stdin().lock(), "standard input")?));
    }
    let file = fs::File::open(path).with_context(|| path.to_owned())?;
    Ok((format!("{path}:"), read(file, path)?))
}

fn read(from: impl io::Read, name: &str) -> Result<Vec<u8>> {
    let mut text = Vec::new();
    from.take(MOST + 1).read_to_end(&mut text).with_context(|| name.to_owned())?;
    if text.len() as u64 > MOST {
        bail!("{name}: is larger than {} MiB", MOST >> 20);
    }
    Ok(text)
}

/// Builds the site as a start would, so that a route is found as by a request.
fn load(options: &Options) -> Result<(Config, Site)> {
    let written = Written::File(options.conf.clone());
    let loaded = written.load()?;
    Ok(loaded.build(|config| Site::build(config, &Metrics::new(), None))?)
}
