//! Answers from a folder: which file a path names, whether the client needs
//! it, and which part of it.
//!
//! No path leads out of the folder. Access, headers of the operator and
//! compression on the fly are for other rooms; Cache-Control is not invented.

mod answer;
mod body;
mod conditional;
mod lookup;
mod name;
mod open;
mod types;

use std::io;
use std::path::PathBuf;
use std::sync::Arc;

use http::{HeaderMap, HeaderName, HeaderValue, Method, StatusCode};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use self::lookup::Folder;
use self::name::Name;
use crate::encoding::Accepted;
use crate::fault::Faults;

pub(crate) use self::body::Body;

/// What a route says about the folder that it answers from.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub(crate) struct Config {
    /// The folder.
    pub root: PathBuf,
    /// The files that may stand for a folder, the first that exists.
    pub index: Vec<String>,
    /// The file for every path that names none, for single-page sites.
    pub fallback: Option<String>,
}

impl Default for Config {
    fn default() -> Self {
        Config { root: PathBuf::new(), index: vec!["index.html".to_owned()], fallback: None }
    }
}

/// What one request asks of a folder.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Ask<'a> {
    pub method: &'a Method,
    /// The path below the folder, percent-encoded, with or without its first `/`.
    pub path: &'a str,
    /// The whole path of the URL, of which `path` may be the rest.
    pub url_path: &'a str,
    pub query: Option<&'a str>,
    pub headers: &'a HeaderMap,
}

/// The answer to a request: complete but for the fields that every answer has.
#[derive(Debug)]
pub(crate) struct Served {
    /// One of 200, 206, 301, 304, 412 and 416.
    pub status: StatusCode,
    /// Those of a 304 describe its 200, of which it may say only a part.
    pub headers: Vec<(HeaderName, HeaderValue)>,
    /// Empty for HEAD, though `headers` tell the length of what GET would get.
    pub body: Body,
}

/// Why there is nothing to serve.
#[derive(Debug, thiserror::Error)]
pub(crate) enum Missing {
    #[error("a file answers only GET and HEAD")]
    Method,
    #[error("no such file")]
    NotFound,
    #[error("this path is not for clients")]
    Forbidden,
    #[error("unreadable: {0}")]
    Unreadable(#[from] io::Error),
}

/// A folder that answers requests.
#[derive(Debug, Clone)]
pub(crate) struct Files {
    folder: Arc<Folder>,
}

impl Files {
    /// Checks that the folder, and the fallback in it, exist.
    pub(crate) fn new(config: &Config) -> Result<Files, Faults> {
        let folder = Folder::new(config)?;
        Ok(Files { folder: Arc::new(folder) })
    }

    /// Finds the file for a request, and decides what of it to send.
    pub(crate) async fn serve(&self, ask: &Ask<'_>) -> Result<Served, Missing> {
        if ask.method != Method::GET && ask.method != Method::HEAD {
            return Err(Missing::Method);
        }
        let mut name = Name::parse(ask.path)?;
        // `/docs` of a route for `/docs` leaves nothing, and is no folder's name.
        name.is_folder &= !ask.path.is_empty() || ask.url_path.ends_with('/');
        let accepted = Accepted::new(ask.headers);
        let folder = Arc::clone(&self.folder);
        let found = tokio::task::spawn_blocking(move || folder.find(&name, accepted))
            .await
            .map_err(io::Error::other)??;
        answer::answer(ask, found)
    }
}

#[cfg(test)]
mod tests;
