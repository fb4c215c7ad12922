//! Where a configuration is written: in a file, or by a sub-command.

use std::path::PathBuf;

use super::{Config, Loaded, Loader, Report};

/// Keys of the contract whose rooms are not built yet.
const NOT_YET: &[&str] = &[
    "server.reload_on_change",
    "log.traces",
    "listeners[].tls.acme",
    "upstreams.*.discover",
    "routes[].mirror",
];

/// Lists that choose among something. An empty one is a slip: it would choose
/// nothing, or even everything.
const NOT_EMPTY: &[&str] = &[
    "listeners[].protocols",
    "upstreams.*.retries.on",
    "defaults.compress.types",
    "routes[].match.hosts",
    "routes[].match.methods",
    "routes[].access.jwt.algorithms",
    "routes[].compress.types",
];

/// A configuration that can be read again.
#[derive(Debug, Clone)]
pub(crate) enum Written {
    File(PathBuf),
    /// The text of a sub-command, under the name it has in faults.
    Text {
        name: String,
        text: String,
    },
}

impl Written {
    /// Reads it as it is now; the report holds every fault, if nothing can be made of it.
    pub(crate) fn load(&self) -> Result<Loaded<Config>, Report> {
        let environment = &|name: &str| std::env::var_os(name);
        let loader = Loader { environment, not_yet: NOT_YET, not_empty: NOT_EMPTY };
        match self {
            Written::File(path) => loader.load(path),
            Written::Text { name, text } => loader.load_str(name, text),
        }
    }
}
