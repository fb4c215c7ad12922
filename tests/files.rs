//! Files of a folder: which one a path names, and how much of it is sent.

mod copies;
mod escapes;
mod lookup;
mod parts;

use std::fs::{self, File};
use std::path::{Path, PathBuf};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use tempfile::TempDir;

use crate::support::{Client, Edge, Response};

/// When every file below was last changed: the date of RFC 9110 §5.6.7.
const CHANGED: &str = "Sun, 06 Nov 1994 08:49:37 GMT";
const EARLIER: &str = "Sun, 06 Nov 1994 08:49:36 GMT";
const LATER: &str = "Sun, 06 Nov 1994 08:49:38 GMT";

fn changed() -> SystemTime {
    UNIX_EPOCH + Duration::from_secs(784_111_777)
}

/// A folder `site` to serve, and one around it that nobody may see.
struct Folder(TempDir);

impl Folder {
    fn with(files: &[(&str, &[u8])]) -> Folder {
        let folder = Folder(tempfile::tempdir().unwrap());
        fs::create_dir(folder.root()).unwrap();
        for (name, bytes) in files {
            folder.write(name, bytes);
        }
        folder
    }

    fn around(&self) -> &Path {
        self.0.path()
    }

    fn root(&self) -> PathBuf {
        self.around().join("site")
    }

    fn write(&self, name: &str, bytes: &[u8]) {
        let path = self.root().join(name);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(&path, bytes).unwrap();
        File::options().write(true).open(&path).unwrap().set_modified(changed()).unwrap();
    }

    /// Serves it at `/`; `more` are further keys of `files`, with a comma first.
    fn serve(&self, more: &str) -> Edge {
        let yaml = format!(
            "listeners: [{{ address: '127.0.0.1:{{port}}', protocols: [h1, h2c] }}]
routes: [{{ files: {{ root: '{{root}}'{more} }} }}]"
        );
        Edge::start_with(&yaml, &[("root", &self.root().display())])
    }
}

/// What GET of a path is answered; `fields` are lines, each with its CR LF.
async fn get(edge: &Edge, path: &str, fields: &str) -> Response {
    let request = format!("GET {path} HTTP/1.1\r\nhost: a.example\r\n{fields}\r\n");
    Client::ask(edge.addr(), request).await
}

/// The status and body of GET, and that the length is told.
async fn told(edge: &Edge, path: &str, fields: &str) -> (u16, String) {
    let answer = get(edge, path, fields).await;
    let length = (answer.status != 304).then(|| answer.body.len().to_string());
    assert_eq!(answer.header("content-length"), length.as_deref(), "{path} {fields:?}");
    (answer.status, answer.text())
}
