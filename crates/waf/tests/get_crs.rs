//! scripts/get-crs.sh against a server on loopback: what it takes, and all that it refuses.

use std::io::{BufRead, BufReader, Write};
use std::net::TcpListener;
use std::path::{Path, PathBuf};
use std::process::{Command, Output};

/// A folder of this test alone, gone with it.
struct Folder(PathBuf);

impl Folder {
    fn new(name: &str) -> Self {
        let path = Path::new(env!("CARGO_TARGET_TMPDIR"))
            .join(format!("get-crs-{name}-{}", std::process::id()));
        std::fs::create_dir(&path).expect("a folder of our own");
        Self(path)
    }

    /// An archive of the files, and its SHA-256.
    fn archive(&self, files: &[&str]) -> (Vec<u8>, String) {
        for file in files {
            let path = self.0.join("archived").join(file);
            std::fs::create_dir_all(path.parent().expect("below")).expect("a folder");
            std::fs::write(path, "SecRuleEngine On\n").expect("a file");
        }
        let archive = self.0.join("archive.tar.gz");
        let mut tar = Command::new("tar");
        tar.arg("-C").arg(&self.0).arg("-czf").arg(&archive).arg("archived");
        assert!(tar.status().expect("tar").success());
        let sum = Command::new("sha256sum").arg(&archive).output().expect("sha256sum").stdout;
        let sum = String::from_utf8(sum).expect("digits").chars().take(64).collect();
        (std::fs::read(archive).expect("the archive"), sum)
    }
}

impl Drop for Folder {
    fn drop(&mut self) {
        std::fs::remove_dir_all(&self.0).expect("our own");
    }
}

fn script() -> Command {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../scripts/get-crs.sh");
    let mut command = Command::new(path);
    command.env_remove("http_proxy").env_remove("TIDEGATE_CRS_URL").env("no_proxy", "*");
    command
}

/// Runs the script while one request is answered with these bytes.
fn fetch(archive: &[u8], sha256: &str, directory: &Path) -> Output {
    let listener = TcpListener::bind("127.0.0.1:0").expect("loopback");
    let url = format!("http://{}/crs.tar.gz", listener.local_addr().expect("bound"));
    std::thread::scope(|scope| {
        scope.spawn(|| {
            let (mut stream, _) = listener.accept().expect("the script connects");
            let mut lines = BufReader::new(stream.try_clone().expect("a socket")).lines();
            while lines.next().is_some_and(|line| line.is_ok_and(|line| !line.is_empty())) {}
            let head = format!("HTTP/1.1 200 OK\r\ncontent-length: {}\r\n\r\n", archive.len());
            // It may hang up before it has read all.
            stream.write_all(&[head.as_bytes(), archive].concat()).unwrap_or_default();
        });
        let mut command = script();
        command.args(["--sha256", sha256]).arg(directory).env("TIDEGATE_CRS_URL", url);
        command.output().expect("bash runs")
    })
}

#[track_caller]
fn check(output: &Output, code: i32, said: &str) {
    let stderr = String::from_utf8_lossy(&output.stderr);
    assert_eq!(output.status.code(), Some(code), "{stderr}");
    assert!(stderr.contains(said), "{stderr}");
}

const RULE_SET: [&str; 2] = ["crs-setup.conf.example", "rules/REQUEST-901.conf"];

#[test]
fn unpacks_an_archive_of_the_right_sum() {
    let folder = Folder::new("right");
    let (archive, sum) = folder.archive(&RULE_SET);
    let directory = folder.0.join("crs");
    check(&fetch(&archive, &sum.to_uppercase(), &directory), 0, "");
    for file in RULE_SET {
        assert!(directory.join(file).is_file(), "{file}");
    }
    // The archive and the working folder are gone.
    assert_eq!(std::fs::read_dir(&folder.0).expect("ours").count(), 3);
}

#[test]
fn unpacks_nothing_of_another_sum() {
    let folder = Folder::new("wrong");
    let (archive, _) = folder.archive(&RULE_SET);
    let directory = folder.0.join("crs");
    check(&fetch(&archive, &"0".repeat(64), &directory), 1, "nothing was unpacked");
    assert!(!directory.exists());
    assert_eq!(std::fs::read_dir(&folder.0).expect("ours").count(), 2);
}

#[test]
fn unpacks_no_other_archive() {
    let folder = Folder::new("other");
    let (archive, sum) = folder.archive(&["README"]);
    let directory = folder.0.join("crs");
    check(&fetch(&archive, &sum, &directory), 1, "is it one of CRS?");
    assert!(!directory.exists());
    let empty = "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855";
    check(&fetch(b"", empty, &directory), 1, "cannot be unpacked");
    assert!(!directory.exists());
}

#[test]
fn overwrites_nothing() {
    let folder = Folder::new("there");
    let mut command = script();
    command.args(["--sha256", &"0".repeat(64)]).arg(&folder.0);
    check(&command.output().expect("bash runs"), 1, "exists already");
}

#[test]
fn asks_for_what_it_needs() {
    let run = |arguments: &[&str]| script().args(arguments).output().expect("bash runs");
    check(&run(&[]), 2, "a directory must be given");
    check(&run(&["crs"]), 2, "--sha256 needs the 64 digits");
    check(&run(&["crs", "--sha256", "12"]), 2, "--sha256 needs the 64 digits");
    check(&run(&["--sha256"]), 2, "--sha256 needs a value");
    check(&run(&["--force", "crs"]), 2, "there is no option --force");
    check(&run(&["--help"]), 0, "");
}
