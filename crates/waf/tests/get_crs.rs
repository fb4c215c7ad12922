//! scripts/get-crs.sh against a server on loopback: what it takes, and all that it refuses.

use std::io::{BufRead, BufReader, Write};
use std::net::TcpListener;
use std::path::{Path, PathBuf};
use std::process::{Command, Output};

use tidegate_suite::crs;

/// A folder of this test alone, gone with it.
struct Folder(PathBuf);

impl Folder {
    fn new(name: &str) -> Self {
        let path = Path::new(env!("CARGO_TARGET_TMPDIR"))
            .join(format!("get-crs-{name}-{}", std::process::id()));
        std::fs::create_dir(&path).expect("a folder of our own");
        Self(path)
    }

    /// The folder that is archived, with the Core Rule Set in it.
    fn copy(&self, crs: &Path) -> PathBuf {
        let top = self.0.join("archived");
        for part in ["", "rules"] {
            std::fs::create_dir(top.join(part)).expect("a folder of our own");
            for entry in crs.join(part).read_dir().expect("CRS") {
                let file = entry.expect("a file of CRS");
                if file.path().is_file() {
                    let to = top.join(part).join(file.file_name());
                    std::fs::copy(file.path(), to).expect("a copy");
                }
            }
        }
        top
    }

    /// An archive of that folder, and its SHA-256.
    fn archive(&self) -> (Vec<u8>, String) {
        let archive = self.0.join("archive.tar.gz");
        let mut tar = Command::new("tar");
        tar.arg("-C").arg(&self.0).arg("-czf").arg(&archive).arg("archived");
        assert!(tar.status().expect("tar").success());
        let sum = Command::new("sha256sum").arg(&archive).output().expect("sha256sum").stdout;
        let sum = String::from_utf8(sum).expect("digits").chars().take(64).collect();
        (std::fs::read(archive).expect("the archive"), sum)
    }

    /// How much is in it.
    fn count(&self) -> usize {
        self.0.read_dir().expect("ours").count()
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
fn fetch(archive: &[u8], arguments: &[&str], directory: &Path) -> Output {
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
        command.args(arguments).arg(directory).env("TIDEGATE_CRS_URL", url);
        command.output().expect("bash runs")
    })
}

#[track_caller]
fn check(output: &Output, code: i32, said: &str) {
    let stderr = String::from_utf8_lossy(&output.stderr);
    assert_eq!(output.status.code(), Some(code), "{stderr}");
    assert!(stderr.contains(said), "{stderr}");
}

const RULE: &str = "rules/REQUEST-942-APPLICATION-ATTACK-SQLI.conf";

#[test]
fn takes_the_files_of_the_release_and_no_other() {
    let Some(crs) = crs() else { return };
    let folder = Folder::new("right");
    let top = folder.copy(&crs);
    // It would be loaded with the others.
    std::fs::write(top.join("rules/REQUEST-999-Z.conf"), "SecRuleEngine Off\n").expect("a file");
    let (archive, sum) = folder.archive();
    for arguments in [&[][..], &["--sha256", &sum.to_uppercase()]] {
        let directory = folder.0.join("crs");
        check(&fetch(&archive, arguments, &directory), 0, "");
        let names = |of: &Path| {
            let names = of.join("rules").read_dir().expect("rules").map(|file| file.expect("one"));
            let mut names: Vec<_> = names.map(|file| file.file_name()).collect();
            names.sort();
            names
        };
        assert_eq!(names(&directory), names(&crs));
        let read = |of: &Path| std::fs::read(of.join(RULE)).expect("a rule file");
        assert_eq!(read(&directory), read(&crs));
        assert!(directory.join("crs-setup.conf.example").is_file());
        // The archive and the working folder are gone.
        assert_eq!(folder.count(), 3);
        std::fs::remove_dir_all(directory).expect("ours");
    }
}

#[test]
fn takes_nothing_of_another_sum() {
    let folder = Folder::new("wrong");
    std::fs::create_dir(folder.0.join("archived")).expect("a folder");
    let (archive, _) = folder.archive();
    let directory = folder.0.join("crs");
    let arguments = ["--sha256", &"0".repeat(64)];
    check(&fetch(&archive, &arguments, &directory), 1, "nothing was unpacked");
    check(&fetch(&archive, &[], &directory), 1, "the archive has no LICENSE");
    check(&fetch(b"", &[], &directory), 1, "cannot be unpacked");
    assert!(!directory.exists());
    assert_eq!(folder.count(), 2);
}

#[test]
fn takes_nothing_where_a_file_is_not_that_of_the_release() {
    let Some(crs) = crs() else { return };
    let check_change = |name: &str, change: &dyn Fn(&Path), reason: &str| {
        let folder = Folder::new(name);
        change(&folder.copy(&crs).join(RULE));
        let (archive, _) = folder.archive();
        let directory = folder.0.join("crs");
        check(&fetch(&archive, &[], &directory), 1, reason);
        assert!(!directory.exists());
        assert_eq!(folder.count(), 2);
    };
    let append = |rule: &Path| {
        let text = std::fs::read_to_string(rule).expect("text");
        std::fs::write(rule, text + "\n").expect("written");
    };
    check_change("more", &append, &format!("{RULE} is not that of CRS 4.28.0"));
    let remove = |rule: &Path| std::fs::remove_file(rule).expect("removed");
    check_change("less", &remove, &format!("the archive has no {RULE}"));
    let link = |rule: &Path| {
        let other = rule.with_extension("moved");
        std::fs::rename(rule, &other).expect("renamed");
        std::os::unix::fs::symlink(other, rule).expect("a link");
    };
    check_change("link", &link, &format!("the archive has no {RULE}"));
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
    check(&run(&["crs", "--sha256", "12"]), 2, "--sha256 needs the 64 digits");
    check(&run(&["--sha256"]), 2, "--sha256 needs a value");
    check(&run(&["--force", "crs"]), 2, "there is no option --force");
    check(&run(&["--help"]), 0, "");
}
