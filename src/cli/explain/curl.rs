//! A request as options of curl say it.

use std::{fs, io};

use anyhow::{Context, Result, bail};
use clap::Args;
use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, percent_encode};

/// What curl says of itself.
const AGENT: &str = "curl/8.5.0";
/// Between the parts of a form; no value that people try has it.
const BOUNDARY: &str = "------------------------tidegate-explains";
const FORM: &str = "application/x-www-form-urlencoded";
const JSON: &str = "application/json";
/// What stands as it is in an encoded value.
const ENCODED: &AsciiSet = &NON_ALPHANUMERIC.remove(b'-').remove(b'_').remove(b'.').remove(b'~');

/// The options, by curl's names: what a browser copies works behind
/// `tidegate explain` as behind `curl`.
#[derive(Debug, Default, Args)]
pub(super) struct Curl {
    /// The URL, also without this option.
    #[arg(long, value_name = "URL")]
    pub(super) url: Option<String>,
    /// The method; GET, or POST where there is a body.
    #[arg(short = 'X', long = "request", visible_alias = "method", value_name = "METHOD")]
    method: Option<String>,
    /// A header field; `Name: value`.
    #[arg(short = 'H', long = "header", value_name = "FIELD")]
    headers: Vec<String>,
    /// A body, of a form unless a field says otherwise; `@FILE` is that file without line ends.
    #[arg(
        short = 'd',
        long,
        visible_alias = "data-ascii",
        value_name = "DATA",
        allow_hyphen_values = true
    )]
    data: Vec<String>,
    /// The same; `@` is a letter like others.
    #[arg(long, value_name = "DATA", allow_hyphen_values = true)]
    data_raw: Vec<String>,
    /// The same; of `@FILE` every byte.
    #[arg(long, value_name = "DATA", allow_hyphen_values = true)]
    data_binary: Vec<String>,
    /// The same; encoded: `VALUE`, `=VALUE`, `NAME=VALUE`, `@FILE` or `NAME@FILE`.
    #[arg(long, value_name = "DATA", allow_hyphen_values = true)]
    data_urlencode: Vec<String>,
    /// A body of JSON, with the fields for it; `@FILE` is that file.
    #[arg(long, value_name = "DATA", allow_hyphen_values = true)]
    json: Vec<String>,
    /// Puts the data into the query.
    #[arg(short = 'G', long = "get")]
    get: bool,
    /// A part of a form: `NAME=VALUE` or `NAME=@FILE`.
    #[arg(short = 'F', long = "form", value_name = "PART")]
    form: Vec<String>,
    /// Cookies.
    #[arg(short = 'b', long = "cookie", value_name = "COOKIES")]
    cookie: Vec<String>,
    /// The User-Agent.
    #[arg(short = 'A', long = "user-agent", value_name = "NAME")]
    agent: Option<String>,
    /// The Referer.
    #[arg(short = 'e', long = "referer", value_name = "URL")]
    referer: Option<String>,
    /// As those of curl that change nothing about a request.
    #[command(flatten)]
    idle: Idle,
}

/// Options that change nothing here.
#[derive(Debug, Default, Args)]
struct Idle {
    #[arg(long, hide = true)]
    compressed: bool,
    #[arg(short = 'k', long, hide = true)]
    insecure: bool,
    #[arg(short = 's', long, hide = true)]
    silent: bool,
    #[arg(short = 'S', long, hide = true)]
    show_error: bool,
    #[arg(short = 'i', long, hide = true)]
    include: bool,
    #[arg(short = 'L', long, hide = true)]
    location: bool,
    #[arg(short = 'v', long, hide = true)]
    verbose: bool,
    #[arg(short = 'g', long, hide = true)]
    globoff: bool,
    #[arg(short = 'o', long, hide = true)]
    output: Option<String>,
    #[arg(long = "http1.1", hide = true)]
    http1: bool,
    #[arg(long, hide = true)]
    http2: bool,
}

impl Curl {
    /// Whether any of them says something of a request.
    pub(super) fn says_something(&self) -> bool {
        self.method.is_some()
            || !self.headers.is_empty()
            || self.has_data()
            || !self.form.is_empty()
            || !self.cookie.is_empty()
            || self.agent.is_some()
            || self.referer.is_some()
    }

    /// The request for a URL, as it would come.
    pub(super) fn request(&self, url: &str) -> Result<Vec<u8>> {
        let Url { host, mut target } = Url::read(url)?;
        let data = if self.has_data() { Some(self.read_data()?) } else { None };
        if self.has_data() && !self.form.is_empty() {
            bail!("a body is either --data or --form");
        }
        let kind = if self.json.is_empty() { FORM } else { JSON };
        let mut body = data.map(|data| (data, kind.to_owned()));
        if !self.form.is_empty() {
            let kind = format!("multipart/form-data; boundary={BOUNDARY}");
            body = Some((self.read_form()?, kind));
        }
        if let (true, Some((data, _))) = (self.get, &body) {
            let query = str::from_utf8(data).context("--get: data that is no text")?;
            target = format!("{target}{}{query}", if target.contains('?') { '&' } else { '?' });
            body = None;
        }
        let usual = if body.is_some() { "POST" } else { "GET" };
        let method = self.method.as_deref().unwrap_or(usual);
        let mut head = format!("{method} {target} HTTP/1.1\r\n");
        let mut field = |name: &str, value: &str| {
            head.push_str(&format!("{name}: {value}\r\n"));
        };
        for (name, value) in self.fields(&host, body.as_ref().map(|(_, kind)| kind.as_str())) {
            field(&name, &value);
        }
        if let Some((body, _)) = &body {
            field("Content-Length", &body.len().to_string());
        }
        head.push_str("\r\n");
        Ok([head.as_bytes(), &body.map(|(body, _)| body).unwrap_or_default()].concat())
    }

    fn has_data(&self) -> bool {
        [&self.data, &self.data_raw, &self.data_binary, &self.data_urlencode, &self.json]
            .iter()
            .any(|data| !data.is_empty())
    }

    /// The fields: what curl sends by itself, unless they say otherwise; `Name:` is none.
    fn fields(&self, host: &str, kind: Option<&str>) -> Vec<(String, String)> {
        let given: Vec<(&str, Option<&str>)> = self
            .headers
            .iter()
            .map(|field| match field.split_once(':') {
                Some((name, value)) => (name, Some(value.trim()).filter(|value| !value.is_empty())),
                None => (field.trim_end_matches(';'), Some("")),
            })
            .collect();
        let json = (!self.json.is_empty()).then_some(JSON);
        let own = [
            ("Host", Some(host.to_owned())),
            ("User-Agent", Some(self.agent.clone().unwrap_or_else(|| AGENT.to_owned()))),
            ("Accept", Some(json.unwrap_or("*/*").to_owned())),
            ("Referer", self.referer.clone()),
            ("Cookie", (!self.cookie.is_empty()).then(|| self.cookie.join("; "))),
            // Curl says it of a query, too.
            ("Content-Type", kind.or(json).map(str::to_owned)),
        ];
        let is_given = |name: &str| given.iter().any(|(given, _)| given.eq_ignore_ascii_case(name));
        let own = own.into_iter().filter(|(name, _)| !is_given(name));
        let own = own.filter_map(|(name, value)| Some((name.to_owned(), value?)));
        let given = given.iter().filter(|(name, _)| !is_of_framing(name));
        let given =
            given.filter_map(|(name, value)| Some(((*name).to_owned(), (*value)?.to_owned())));
        own.chain(given).collect()
    }

    fn read_data(&self) -> Result<Vec<u8>> {
        let mut all = Vec::new();
        for data in &self.data {
            let mut read = read_at(data)?;
            if data.starts_with('@') {
                read.retain(|byte| !b"\r\n\0".contains(byte));
            }
            all.push(read);
        }
        all.extend(self.data_raw.iter().map(|data| data.clone().into_bytes()));
        for data in &self.data_binary {
            all.push(read_at(data)?);
        }
        for data in &self.data_urlencode {
            all.push(encoded(data)?.into_bytes());
        }
        let mut all = all.join(&b'&');
        // Pieces of JSON are one text.
        for data in &self.json {
            all.extend_from_slice(&read_at(data)?);
        }
        Ok(all)
    }

    fn read_form(&self) -> Result<Vec<u8>> {
        let mut form = Vec::new();
        for part in &self.form {
            let (name, value) =
                part.split_once('=').with_context(|| format!("--form {part}: write NAME=VALUE"))?;
            let path = value.strip_prefix('@').map(|path| path.split(';').next().unwrap_or(path));
            let (file, content) = match path {
                Some(path) => {
                    let content = fs::read(path).with_context(|| path.to_owned())?;
                    let name = path.rsplit('/').next().unwrap_or(path);
                    let kind = "\r\nContent-Type: application/octet-stream";
                    (format!("; filename=\"{name}\"{kind}"), content)
                }
                None => (String::new(), value.as_bytes().to_vec()),
            };
            let head = format!("Content-Disposition: form-data; name=\"{name}\"{file}");
            form.extend_from_slice(format!("--{BOUNDARY}\r\n{head}\r\n\r\n").as_bytes());
            form.extend_from_slice(&content);
            form.extend_from_slice(b"\r\n");
        }
        form.extend_from_slice(format!("--{BOUNDARY}--\r\n").as_bytes());
        Ok(form)
    }
}

/// What --data-urlencode makes of its value: the first `=`, or else `@`, ends the name.
fn encoded(data: &str) -> Result<String> {
    let (name, value) = match (data.split_once('='), data.split_once('@')) {
        (Some((name, value)), _) => (name, value.as_bytes().to_vec()),
        (None, Some((name, path))) => (name, read_file(path)?),
        (None, None) => ("", data.as_bytes().to_vec()),
    };
    let value = percent_encode(&value, ENCODED).to_string().replace("%20", "+");
    Ok(if name.is_empty() { value } else { format!("{name}={value}") })
}

/// Fields that say how a body is framed, which is as it is here.
fn is_of_framing(name: &str) -> bool {
    name.eq_ignore_ascii_case("content-length") || name.eq_ignore_ascii_case("transfer-encoding")
}

fn read_at(data: &str) -> Result<Vec<u8>> {
    match data.strip_prefix('@') {
        Some(path) => read_file(path),
        None => Ok(data.as_bytes().to_vec()),
    }
}

fn read_file(path: &str) -> Result<Vec<u8>> {
    match path {
        "-" => super::read(io::stdin().lock(), "standard input"),
        path => super::read(fs::File::open(path).with_context(|| path.to_owned())?, path),
    }
}

/// What of a URL is in a request.
#[derive(Debug, PartialEq, Eq)]
struct Url {
    host: String,
    target: String,
}

impl Url {
    fn read(url: &str) -> Result<Url> {
        let rest = match url.split_once("://") {
            Some(("http" | "https", rest)) => rest,
            Some((scheme, _)) => bail!("{url}: `{scheme}` is not HTTP; write http or https"),
            None => url,
        };
        let rest = rest.split('#').next().unwrap_or(rest);
        let end = rest.find(['/', '?']).unwrap_or(rest.len());
        let (authority, target) = rest.split_at(end);
        let host = authority.rsplit('@').next().unwrap_or(authority);
        if host.is_empty() {
            bail!("{url}: has no host; write http://a.example/path");
        }
        let target = if target.starts_with('/') { target.to_owned() } else { format!("/{target}") };
        Ok(Url { host: host.to_owned(), target })
    }
}

#[cfg(test)]
mod tests {
    use clap::Parser;

    use super::*;

    #[derive(Debug, Parser)]
    struct Command {
        address: String,
        #[command(flatten)]
        curl: Curl,
    }

    fn request(arguments: &[&str]) -> String {
        let command = Command::try_parse_from([&["curl"], arguments].concat());
        let command = command.expect("options of curl");
        match command.curl.request(&command.address) {
            Ok(request) => String::from_utf8(request).expect("text"),
            Err(error) => format!("{error:#}"),
        }
    }

    #[track_caller]
    fn check(arguments: &[&str], expected: &[&str]) {
        let written = request(arguments);
        for expected in expected {
            assert!(written.contains(expected), "{arguments:?}: no {expected:?} in {written}");
        }
    }

    #[test]
    fn a_url_alone_is_what_curl_would_send() {
        let expected = "GET /x?y=1 HTTP/1.1\r\nHost: a.example:8080\r\nUser-Agent: curl/8.5.0\r\n\
                        Accept: */*\r\n\r\n";
        assert_eq!(request(&["https://ann:pw@a.example:8080/x?y=1#z"]), expected);
        check(&["a.example"], &["GET / HTTP/1.1\r\nHost: a.example\r\n"]);
        check(&["http://a.example?x"], &["GET /?x HTTP/1.1\r\n"]);
        check(&["ftp://a.example/"], &["`ftp` is not HTTP"]);
        check(&["http:///x"], &["has no host"]);
    }

    #[test]
    fn data_is_the_body_of_a_form() {
        let url = "http://a/";
        check(
            &[url, "-d", "a=b", "--data-raw", "@c=-d"],
            &["POST / ", "x-www-form-urlencoded\r\n", "Content-Length: 9\r\n", "\r\n\r\na=b&@c=-d"],
        );
        check(&[url, "--data-raw", "-x"], &["\r\n\r\n-x"]);
        check(&[url, "-G", "-d", "a=b"], &["GET /?a=b HTTP/1.1\r\n"]);
        check(&["http://a/?x", "-G", "-d", "a=b"], &["GET /?x&a=b HTTP/1.1\r\n"]);
        check(
            &[url, "-X", "PUT", "-d", "{}", "-H", "content-type: a/b"],
            &["PUT /", "\r\ncontent-type: a/b\r\n"],
        );
        check(&[url, "-d", "@/nowhere"], &["/nowhere: No such file"]);
    }

    /// As curl 7.88 sends it.
    #[test]
    fn every_form_of_encoded_data_is_curls() {
        let dir = tempfile::tempdir().expect("a folder");
        let file = dir.path().join("f.txt");
        fs::write(&file, "a b\nc&d\r\n\n").expect("written");
        let file = file.display();
        for (data, expected) in [
            ("a b&", "a+b%26"),
            ("=a b", "a+b"),
            ("n=a b*~.'()!", "n=a+b%2A~.%27%28%29%21"),
            ("n@x=/y", "n@x=%2Fy"),
            (&format!("@{file}"), "a+b%0Ac%26d%0D%0A%0A"),
            (&format!("n@{file}"), "n=a+b%0Ac%26d%0D%0A%0A"),
        ] {
            check(&["http://a/", "--data-urlencode", data], &[&format!("\r\n\r\n{expected}")]);
        }
        check(&["http://a/", "-G", "--data-urlencode", "q=a b"], &["GET /?q=a+b HTTP/1.1\r\n"]);
        check(&["http://a/", "--data-urlencode", "n@/nowhere"], &["/nowhere: No such file"]);
    }

    #[test]
    fn json_comes_with_its_fields() {
        let url = "http://a/";
        let fields = "Accept: application/json\r\nContent-Type: application/json\r\n";
        check(
            &[url, "--json", "{\"a\":", "--json", "1}"],
            &["POST /", fields, "\r\n\r\n{\"a\":1}"],
        );
        check(&[url, "-X", "PUT", "--json", "[]"], &["PUT /", fields]);
        check(&[url, "--json", "{}", "-H", "content-type: x/y"], &["\r\ncontent-type: x/y\r\n"]);
        check(&[url, "-d", "a", "--json", "{}"], &[fields, "\r\n\r\na{}"]);
        check(&[url, "-G", "--json", "x"], &["GET /?x HTTP/1.1\r\n", fields]);
        let dir = tempfile::tempdir().expect("a folder");
        let file = dir.path().join("f.json");
        fs::write(&file, "{\r\n}\n").expect("written");
        check(&[url, "--json", &format!("@{}", file.display())], &["\r\n\r\n{\r\n}\n"]);
    }

    #[test]
    fn fields_are_added_replaced_and_left_out() {
        let written = request(&[
            "http://a/",
            "-H",
            "Accept: x/y",
            "-H",
            "User-Agent:",
            "-H",
            "host: b",
            "-b",
            "c=d",
            "-e",
            "http://r/",
            "--compressed",
            "-k",
            "-sS",
        ]);
        let expected =
            "GET / HTTP/1.1\r\nReferer: http://r/\r\nCookie: c=d\r\nAccept: x/y\r\nhost: b\r\n\r\n";
        assert_eq!(written, expected);
        check(&["http://a/", "-A", "me"], &["User-Agent: me\r\n"]);
        check(
            &["http://a/", "-d", "a", "-H", "content-length: 9"],
            &["Content-Length: 1\r\n\r\na"],
        );
    }

    #[test]
    fn parts_make_a_form() {
        let dir = tempfile::tempdir().expect("a folder");
        let file = dir.path().join("f.txt");
        fs::write(&file, "content").expect("written");
        let part = format!("f=@{};type=text/plain", file.display());
        check(
            &["http://a/", "-F", "a=b", "-F", &part],
            &[
                "POST / ",
                "multipart/form-data; boundary=",
                "name=\"a\"\r\n\r\nb\r\n",
                "name=\"f\"; filename=\"f.txt\"\r\nContent-Type: ",
                "\r\n\r\ncontent\r\n--",
            ],
        );
        check(&["http://a/", "-F", "a"], &["write NAME=VALUE"]);
        check(&["http://a/", "-F", "a=b", "-d", "c"], &["either --data or --form"]);
    }
}
