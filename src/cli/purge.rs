//! `tidegate purge`: asks a running process to forget what it keeps of answers.

use std::fs;
use std::io::{Read as _, Write as _};
use std::net::TcpStream;
use std::path::Path;
use std::time::Duration;

use anyhow::{Context, Result, bail, ensure};
use clap::Args;

use crate::config::Written;
use crate::control::{PurgeWhat as What, PurgeWish as Wish};

/// How long the process may take: a purge waits for disks.
const PATIENCE: Duration = Duration::from_secs(30);

/// What is to be purged.
#[derive(Debug, Args)]
pub(super) struct Options {
    /// The configuration file of the running process.
    #[arg(short, long, value_name = "FILE", default_value = "conf/tidegate.yaml")]
    conf: std::path::PathBuf,
    /// Only have it be stale: it is validated, and there if its server is not.
    #[arg(long)]
    soft: bool,
    #[command(flatten)]
    which: Which,
}

#[derive(Debug, Args)]
#[group(required = true, multiple = false)]
struct Which {
    /// All that is kept for this URL.
    #[arg(long)]
    url: Option<String>,
    /// All whose URL begins so.
    #[arg(long, value_name = "URL")]
    prefix: Option<String>,
    /// All of this host.
    #[arg(long)]
    host: Option<String>,
    /// All that a server has given this tag.
    #[arg(long)]
    tag: Option<String>,
    /// Everything.
    #[arg(long)]
    all: bool,
}

impl Options {
    fn wish(self) -> Wish {
        let Which { url, prefix, host, tag, all } = self.which;
        let what = url.map(What::Url).or_else(|| prefix.map(What::Prefix));
        let what = what.or_else(|| host.map(What::Host)).or_else(|| tag.map(What::Tag));
        Wish { what: what.unwrap_or(What::All(all)), soft: self.soft }
    }
}

/// Asks the process that runs by this configuration.
pub(super) fn run(options: Options) -> Result<()> {
    let loaded = Written::File(options.conf.clone()).load();
    let (config, ()) = loaded.and_then(|loaded| loaded.build(|_| Ok(())))?;
    ensure!(config.admin.listen != "off", "`admin.listen` is off: nobody can be asked");
    let token = match config.admin.token.as_str() {
        "" => made_token(&config.server.upgrade_sock.with_file_name("admin.token"))?,
        token => token.to_owned(),
    };
    let body = serde_json::to_string(&options.wish())?;
    let (status, said) = ask(&config.admin.listen, &token, &body)
        .with_context(|| format!("asking {}", config.admin.listen))?;
    ensure!(status == 200, "{}", said.trim_end());
    Ok(())
}

fn made_token(path: &Path) -> Result<String> {
    let text = fs::read_to_string(path).with_context(|| path.display().to_string())?;
    Ok(text.trim_end().to_owned())
}

/// What the admin listener says: its status and the body.
fn ask(listen: &str, token: &str, body: &str) -> Result<(u16, String)> {
    // Who listens on all addresses is there on this one.
    let at = listen.replacen("0.0.0.0:", "127.0.0.1:", 1).replacen("[::]:", "[::1]:", 1);
    let mut stream = TcpStream::connect(&at)?;
    stream.set_read_timeout(Some(PATIENCE))?;
    let length = body.len();
    let head = format!(
        "POST /api/cache/purge HTTP/1.1\r\nhost: {at}\r\nconnection: close\r\n\
         authorization: Bearer {token}\r\ncontent-length: {length}\r\n\r\n"
    );
    stream.write_all(format!("{head}{body}").as_bytes())?;
    let mut answer = String::new();
    stream.read_to_string(&mut answer)?;
    let status = answer.split(' ').nth(1).and_then(|status| status.parse().ok());
    let (Some(status), Some((_, said))) = (status, answer.split_once("\r\n\r\n")) else {
        bail!("it answers something else than HTTP");
    };
    Ok((status, said.to_owned()))
}
