//! What a folder must not hold that is served to everybody: a route for the
//! folder in which the process was started would give its admin token away.

use std::path::{Component, Path, PathBuf};

use crate::config::Config;
use crate::fault::{Faults, KeyPath};

/// The faults of `routes` whose folders hold secrets.
pub(super) fn check(config: &Config) -> Result<(), Faults> {
    let mut faults = Faults::none();
    let secrets = secrets(config);
    for (index, route) in config.routes.iter().enumerate() {
        let Some(files) = &route.files else { continue };
        // One that is not there is a fault of its own.
        let Ok(root) = files.root.canonicalize() else { continue };
        for (path, what) in &secrets {
            if is_served(&root, path) {
                let at = KeyPath::root().child(index).child("files").child("root");
                let (root, path) = (files.root.display(), path.display());
                let remedy = "give what is served a folder of its own";
                faults.add(at, format!("`{root}` holds {what}: `{path}`; {remedy}"));
                break;
            }
        }
    }
    faults.into_result(|| Some(()))
}

/// Where secrets lie, and which.
fn secrets(config: &Config) -> Vec<(PathBuf, &'static str)> {
    let run = config.server.upgrade_sock.parent().unwrap_or_else(|| Path::new(""));
    let mut secrets = vec![(run, "the folder of `server.upgrade_sock` and the admin token")];
    let listeners = config.listeners.iter().filter_map(|listener| listener.tls.as_ref());
    let keys = listeners.flat_map(|tls| tls.certificates.iter().map(|files| files.key.as_path()));
    let upstreams = config.upstreams.values().filter_map(|upstream| upstream.tls.as_ref());
    let keys = keys.chain(upstreams.filter_map(|tls| tls.key.as_deref()));
    secrets.extend(keys.map(|key| (key, "a private key")));
    let users = config.routes.iter().filter_map(|route| route.access.basic.as_ref());
    secrets.extend(users.map(|basic| (basic.file.as_path(), "passwords")));
    secrets.into_iter().map(|(path, what)| (real(path), what)).collect()
}

/// The real path, as far as it is there.
fn real(path: &Path) -> PathBuf {
    let path = if path.as_os_str().is_empty() { Path::new(".") } else { path };
    match (path.canonicalize(), path.parent(), path.file_name()) {
        (Ok(real), _, _) => real,
        (Err(_), Some(parent), Some(name)) => real(parent).join(name),
        (Err(_), _, _) => path.to_owned(),
    }
}

/// Whether a route for `root` would answer with what is at `path`, or below it.
fn is_served(root: &Path, path: &Path) -> bool {
    let is_hidden = |part: Component<'_>| part.as_os_str().as_encoded_bytes().starts_with(b".");
    path.strip_prefix(root).is_ok_and(|below| !below.components().any(is_hidden))
}

#[cfg(test)]
mod tests {
    use tempfile::TempDir;

    use super::*;

    /// What is wrong with a site whose folder is `root`, and its secrets in `dir`.
    fn said(dir: &Path, root: &Path) -> Option<String> {
        let text = format!(
            "{{ server: {{ upgrade_sock: '{dir}/run/sock' }},
               listeners: [{{ address: '127.0.0.1:1', tls: {{ certificates: [{{ cert: '{dir}/a.pem', key: '{dir}/tls/a.key' }}] }} }}],
               routes: [{{ files: {{ root: '{root}' }} }}] }}",
            dir = dir.display(),
            root = root.display()
        );
        let config: Config = serde_yaml::from_str(&text).unwrap();
        let faults = check(&config).err()?;
        let all: Vec<_> =
            faults.iter().map(|fault| format!("{}: {}", fault.at, fault.what)).collect();
        Some(all.join("\n"))
    }

    #[test]
    fn no_folder_is_served_that_holds_secrets() {
        let dir = TempDir::new().unwrap();
        let dir = dir.path().canonicalize().unwrap();
        std::fs::create_dir_all(dir.join("www/.well-known")).unwrap();
        std::fs::create_dir(dir.join("tls")).unwrap();
        let www = dir.join("www");
        assert_eq!(said(&dir, &www), None);
        // The folder of the socket is not even made yet.
        let all = said(&dir, &dir).unwrap();
        assert!(all.starts_with("[0].files.root: `"), "{all}");
        assert!(all.contains("holds the folder of `server.upgrade_sock`"), "{all}");
        assert!(said(&dir, &dir.join("tls")).unwrap().contains("holds a private key"));
        // By another name.
        std::os::unix::fs::symlink(&dir, dir.join("www/all")).unwrap();
        assert!(said(&dir, &dir.join("www/all")).is_some());
        // What no path leads to.
        assert_eq!(said(&dir.join("www/.private"), &www), None);
        assert!(said(&www, &www).is_some());
    }
}
