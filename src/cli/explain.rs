//! `tidegate explain`: what the rules of a configuration find in a request, and
//! what would let it pass. Nothing is sent, and nobody is asked but the rules.

mod curl;
mod log_line;
mod request;
mod told;

use std::fs;
use std::io::{self, Read as _, Write as _};
use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::path::PathBuf;
use std::process::ExitCode;
use std::sync::Arc;

use anyhow::{Context, Result, anyhow, bail};
use clap::Args;

use crate::config::{self, Config, Written};
use crate::log::Metrics;
use crate::sanitise::Head;
use crate::site::{Action, Site};
use crate::waf::{self, Asked, Mode, Named, Profile, Remedy, Shelf};

use self::curl::Curl;
use self::log_line::Rebuilt;
use self::request::{Raw, Request};
use self::told::{Case, Outcome, Told};

/// The most that is read of a request.
const MOST: u64 = 64 << 20;
/// Where the request would have come in, if the configuration does not say.
const NOWHERE: SocketAddr = SocketAddr::new(IpAddr::V4(Ipv4Addr::LOCALHOST), 80);
/// The port of a client that is only thought of.
const PORT: u16 = 40_000;

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
    /// Answer in JSON.
    #[arg(long)]
    json: bool,
    #[command(flatten)]
    curl: Curl,
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
    let text = if options.json { told.json() } else { told.text() };
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
    let Input { name, text, rebuilt } = input(options)?;
    let read =
        Raw::split(&text).and_then(Raw::read).map_err(|error| anyhow!("{name} {error:#}"))?;
    let (config, site) = load(options)?;
    let logged = rebuilt.as_ref().and_then(|rebuilt| rebuilt.client.as_ref()?.parse().ok());
    let client = options.client.or(logged).unwrap_or(IpAddr::V4(Ipv4Addr::LOCALHOST));
    let outcome = match read {
        Ok(request) => judge(options, request, client, &config, &site)?,
        Err(malformed) => Outcome::Malformed(malformed),
    };
    let rules_of_log = rebuilt.map(|rebuilt| rebuilt.rules).unwrap_or_default();
    Ok(Told { outcome, rules_of_log })
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
    let (name, text) = match given {
        "-" => ("standard input".to_owned(), read(io::stdin().lock(), "standard input")?),
        path => {
            let file = fs::File::open(path).with_context(|| path.to_owned())?;
            (format!("{path}:"), read(file, path)?)
        }
    };
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

fn judge(
    options: &Options,
    mut request: Request,
    client: IpAddr,
    config: &Config,
    site: &Site,
) -> Result<Outcome> {
    let listener = config.listeners.iter().find_map(|listener| listener.address.parse().ok());
    let server: SocketAddr = listener.unwrap_or(NOWHERE);
    // As the first listener reads heads, where they differ.
    let strict = site.strict(&server.to_string());
    for name in strict.names_to_drop(&request.headers) {
        request.headers.remove(name);
    }
    let Request { method, target, uri, version, headers, body, is_upgrade } = &request;
    let head = match Head::read(method, uri, *version, headers, strict) {
        Ok(head) => head,
        Err(malformed) => return Ok(Outcome::Malformed(malformed)),
    };
    let found = match find(options, &head, config, site)? {
        Found::Profile(found) => found,
        Found::Nothing(outcome) => return Ok(outcome),
    };
    let asked = Asked {
        head: &head,
        target,
        version: *version,
        client: SocketAddr::new(client, PORT),
        server,
        request_id: "explained",
    };
    let body = body.as_deref().filter(|_| found.reads_bodies && !is_upgrade);
    let settings = config.waf.get(&found.profile).cloned().unwrap_or_default();
    let mut shelf = Shelf::default();
    let profile = Profile::new(&settings, &mut shelf).map_err(|faults| anyhow!("{faults:?}"))?;
    let Some(profile) = profile.map(Arc::new) else {
        return Ok(Outcome::Unjudged { route: found.route, why: "its profile is off" });
    };
    let explanation = profile.explain(&asked, body);
    let remedy = match explanation.against() {
        Some(_) => Remedy::find(&settings, &asked, body, explanation.clone(), &mut shelf),
        None => None,
    };
    Ok(Outcome::Judged(Box::new(Case {
        request: format!("{method} {} of {}", head.path, head.host),
        route: found.route,
        profile: found.profile,
        is_detecting: settings.mode == Mode::Detect,
        has_exclusions: !settings.exclude.is_empty(),
        explanation,
        remedy,
    })))
}

/// By which rules a request is judged.
struct Judging {
    profile: String,
    /// None if the profile was asked for by its name.
    route: Option<String>,
    reads_bodies: bool,
}

enum Found {
    Profile(Judging),
    /// It does not come before rules.
    Nothing(Outcome),
}

fn find(options: &Options, head: &Head<'_>, config: &Config, site: &Site) -> Result<Found> {
    if let Some(name) = &options.profile {
        if name != waf::STANDARD && !config.waf.contains_key(name) {
            let names = config.waf.keys().map(String::as_str).chain([waf::STANDARD]);
            bail!("{}", config::unknown("profile", name, names));
        }
        let profile = name.clone();
        return Ok(Found::Profile(Judging { profile, route: None, reads_bodies: true }));
    }
    let Ok((route, _)) = site.find(head) else {
        return Ok(Found::Nothing(Outcome::NoRoute));
    };
    let index = site.routes().position(|other| std::ptr::eq(other, &**route));
    let written = index.and_then(|index| config.routes.get(index)?.waf.as_ref());
    let (named, route_name) =
        (written.unwrap_or(&config.defaults.waf), Some(route.name.to_string()));
    Ok(match named {
        Named::Off => {
            Found::Nothing(Outcome::Unjudged { route: route_name, why: "its route has waf: off" })
        }
        Named::Profile(name) => Found::Profile(Judging {
            profile: name.clone(),
            route: route_name,
            // Answers of ours need no body, which is not judged then.
            reads_bodies: matches!(route.action, Action::Proxy(_)),
        }),
    })
}
