//! `tidegate demo`: two small servers and the proxy in front of them.
//!
//! Nothing here is on the path of real requests. Everything it writes is below
//! `run/demo`, and it listens on loopback alone.

mod origin;

use std::fs;
use std::io::Write;
use std::os::unix::fs::{DirBuilderExt, OpenOptionsExt};
use std::path::Path;

use anyhow::{Context, Result};

use crate::config::Written;
use crate::server::{self, Start};

use self::origin::Origin;

const FOLDER: &str = "run/demo";

/// What there is to try; each line was run as written.
const TRY: &str = "\
Tidegate demo: http://127.0.0.1:8080 and https://127.0.0.1:8443 (a certificate of its own)

  curl -i  http://127.0.0.1:8080/              a page, from two servers in turns
  curl -ik https://127.0.0.1:8443/             the same over TLS and HTTP/2
  curl -i  http://127.0.0.1:8080/static/       files from a folder
  curl -i  http://127.0.0.1:8080/slow          a server that takes its time
  curl -i  http://127.0.0.1:8080/flaky         one server fails, the other answers
  curl -i  http://127.0.0.1:8080/down          no server: the 503 of Tidegate itself
  curl -i  http://127.0.0.1:8080/old/page      a redirect
  curl -i  http://127.0.0.1:8080/static/..%2f  refused: two servers could read it differently
  curl -s  http://127.0.0.1:9180/metrics       what Prometheus sees

Every request leaves a line below. Ctrl-C ends it.
";

/// Runs the demo until it is interrupted.
pub(crate) fn run() -> Result<()> {
    let folder = Path::new(FOLDER);
    prepare(folder).with_context(|| format!("cannot write to {FOLDER}"))?;
    let (first, second) = (Origin::start("one")?, Origin::start("two")?);
    let text = include_str!("demo.yaml")
        .replace("FIRST", &first.address().to_string())
        .replace("SECOND", &second.address().to_string());
    std::io::stdout().write_all(TRY.as_bytes())?;
    server::run(Written::Text { name: "tidegate demo".to_owned(), text }, Start::default())
}

/// Writes the files to serve, and a certificate for localhost.
fn prepare(folder: &Path) -> Result<()> {
    let site = folder.join("site");
    fs::DirBuilder::new().recursive(true).mode(0o700).create(&site)?;
    fs::write(site.join("index.html"), include_str!("index.html"))?;
    let names = ["localhost", "127.0.0.1"].map(str::to_owned);
    let made = rcgen::generate_simple_self_signed(names)?;
    fs::write(folder.join("cert.pem"), made.cert.pem())?;
    let key = folder.join("key.pem");
    let mut key =
        fs::OpenOptions::new().write(true).create(true).truncate(true).mode(0o600).open(key)?;
    key.write_all(made.signing_key.serialize_pem().as_bytes())?;
    Ok(())
}
