//! Files of rules that are wrong, or gone, when the site is loaded again.

use std::path::Path;

use rustix::process::Signal;

use super::*;

/// Rules, and phrases in another file.
const OLD: &str = "SecRule ARGS \"@pmFromFile words.data\" \"id:100,phase:2,deny,status:403\"\n";

/// Rules with a fault in their third line.
const FAULTY: &str = "SecRule ARGS \"@contains new\" \"id:101,phase:2,deny,status:403\"\n\n\
                      SecRule ARGS \"@contains attack\" \"id:102,phase:2,dney\"\n";

const NEW: &str = "SecRule ARGS \"@contains new\" \"id:101,phase:2,deny,status:403\"\n";

/// The statuses of what the old rules are against, and the new ones.
async fn statuses(edge: &Edge) -> [u16; 2] {
    [get(edge, "/?q=attack").await, get(edge, "/?q=new").await]
}

const BY_OLD: [u16; 2] = [403, 200];
const BY_NEW: [u16; 2] = [200, 403];

fn rules() -> TempDir {
    folder(&[
        ("crs/rules/REQUEST-942-A.conf", OLD),
        ("crs/rules/words.data", "attack\n"),
        ("crs/crs-setup.conf", ""),
        ("own.conf", ""),
    ])
}

const PROFILE: &str = "{ rules: { crs: 'DIR/crs', files: ['DIR/own.conf'] } }";

#[tokio::test(flavor = "multi_thread")]
async fn rules_with_a_fault_leave_the_old_ones_and_the_log_names_the_line() {
    let dir = rules();
    let edge = answering(PROFILE, &dir);
    assert_eq!(statuses(&edge).await, BY_OLD);
    let file = dir.path().join("crs/rules/REQUEST-942-A.conf");
    fs::write(&file, FAULTY).unwrap();
    edge.signal(Signal::HUP);
    edge.await_stderr("not reloaded, the site stays as it is: tidegate.yaml:");
    edge.await_stderr("waf.own.rules.crs: ");
    edge.await_stderr(&format!("{}:3:", file.display()));
    edge.await_stderr("dney");
    assert_eq!(statuses(&edge).await, BY_OLD);
    fs::write(&file, NEW).unwrap();
    edge.signal(Signal::HUP);
    edge.await_stderr(": reloaded");
    assert_eq!(statuses(&edge).await, BY_NEW);
}

#[tokio::test(flavor = "multi_thread")]
async fn files_that_are_gone_leave_the_old_rules_until_they_are_there_again() {
    let dir = rules();
    let edge = answering(PROFILE, &dir);
    for (gone, at, said) in [
        ("crs", "waf.own.rules.crs: ", "crs/rules: No such file or directory"),
        ("crs/rules", "waf.own.rules.crs: ", "crs/rules: No such file or directory"),
        ("crs/rules/words.data", "waf.own.rules.crs: ", "REQUEST-942-A.conf:1:"),
        ("own.conf", "waf.own.rules.files[0]: ", "own.conf"),
    ] {
        let (path, away) = (dir.path().join(gone), dir.path().join("away"));
        fs::rename(&path, &away).unwrap();
        let refused = edge.admin_post("/api/reload");
        assert_eq!(refused.status, 422, "{gone}");
        let text = refused.text();
        assert!(text.contains(at) && text.contains(said), "{gone}: {text}");
        assert_eq!(statuses(&edge).await, BY_OLD, "{gone}");
        fs::rename(&away, &path).unwrap();
        assert_eq!(edge.admin_post("/api/reload").status, 200, "{gone}");
        assert_eq!(statuses(&edge).await, BY_OLD, "{gone}");
    }
    replace(&dir.path().join("crs/rules/words.data"), "new\n");
    assert_eq!(edge.admin_post("/api/reload").status, 200);
    assert_eq!(statuses(&edge).await, BY_NEW);
}

fn replace(path: &Path, text: &str) {
    assert!(path.is_file(), "{path:?}");
    fs::write(path, text).unwrap();
}
