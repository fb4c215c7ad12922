//! `-t` and the start: what is wrong is said, all of it, with its place.

use super::*;

const GOOD: &str = "
admin: { listen: '127.0.0.1:0', token: '' }
log: { access: { to: logs/access.log } }
server: { pid_file: run/tidegate.pid, error_log: logs/error.log }
listeners: [{ address: 127.0.0.1:8080 }]
routes: [{ respond: { status: 200 } }]
";

#[test]
fn a_good_file_is_good_and_nothing_is_written() {
    let folder = Folder::with(GOOD);
    fs::create_dir(folder.path().join("logs")).unwrap();
    let before = folder.content();
    let (code, said) = folder.run(&["-c", "tidegate.yaml", "-t"]);
    assert_eq!((code, said.as_str()), (0, "tidegate.yaml: good\n"));
    assert_eq!(folder.content(), before);
}

#[test]
fn a_rate_limit_that_nobody_lists_is_told_and_no_fault() {
    let folder = Folder::with(&format!("{GOOD}rate_limits: {{ few: {{ rate: 1/s }} }}\n"));
    fs::create_dir(folder.path().join("logs")).unwrap();
    let (code, said) = folder.run(&["-c", "tidegate.yaml", "-t"]);
    let warning = "warning: rate_limits.few limits nobody: neither a route nor `defaults` has it \
                   in its `rate_limits`\ntidegate.yaml: good\n";
    assert_eq!((code, said.as_str()), (0, warning));
}

#[test]
fn every_fault_is_told_with_its_place_and_nothing_is_written() {
    let check = |config: &str, faults: &[&str]| {
        let folder = Folder::with(config);
        let before = folder.content();
        let expected: String =
            faults.iter().map(|fault| format!("tidegate.yaml:{fault}\n")).collect();
        assert_eq!(folder.run(&["--conf", "tidegate.yaml", "--test"]), (1, expected.clone()));
        assert_eq!(folder.content(), before);
        // To start says the same.
        assert_eq!(folder.run(&["-c", "tidegate.yaml"]), (1, expected));
        assert_eq!(folder.content(), before);
    };
    check(
        "listeners: [{ adress: 127.0.0.1:8080 }]\nrouts: []\nserver: { threads: many }\n",
        &[
            "1:15: listeners[0].adress: unknown key (did you mean `address`?)",
            "2:1: routs: unknown key (did you mean `routes`?)",
            "3:20: server.threads: expected a whole number, found `many`",
        ],
    );
    check(
        "listeners:\n  - { address: nowhere }\n  - { address: 127.0.0.1:1 }\n\
         \u{20} - { address: 127.0.0.1:1 }\nserver: { threads: 0, connections: 0 }\n\
         upstreams: { a: { servers: [] } }\nroutes:\n  - { upstream: b }\n\
         \u{20} - { match: { path: /x }, redirect: { to: '{nothing}' } }\n",
        &[
            "2:16: listeners[0].address: `nowhere` is no address to listen on; \
             write 0.0.0.0:8080 or [::]:8080",
            "4:16: listeners[2].address: is the address of listeners[1] already; \
             see tidegate.yaml:3:16",
            "5:20: server.threads: must be 1 to 1024",
            "5:36: server.connections: must be more than 0",
            "6:19: upstreams.a.servers: is empty; name at least one server",
            "8:17: routes[0].upstream: there is no upstream `b` (did you mean `a`?)",
            "9:44: routes[1].redirect.to: write a path that starts with one `/`, \
             or http:// or https://",
        ],
    );
    check(
        "listeners: [{ address: 127.0.0.1:8080 }]\nroutes:\n\
         \u{20} - { name: a, match: { hosts: [a.example, b.example], path: /x }, respond: {} }\n\
         \u{20} - { match: { hosts: [B.example], path: /x }, respond: {} }\n\
         \u{20} - { name: a, match: { path_prefix: /y, methods: [GET, PUT] }, respond: {} }\n\
         \u{20} - { match: { path_prefix: /y, methods: [PUT, GET, HEAD] }, respond: {} }\n",
        &[
            "4:7: routes[1].match: the same match as routes[0] (`a`) (b.example); keep one; \
             see tidegate.yaml:3:16",
            "5:13: routes[2].name: `a` is already the name of routes[0]; see tidegate.yaml:3:13",
            "6:7: routes[3].match: the same match as routes[2] (`a`) (any host); keep one; \
             see tidegate.yaml:5:16",
        ],
    );
    check("listeners: [", &["1:13: while parsing a node, did not find expected node content"]);
    check("", &["1:1: listeners: none; write at least `- address: 0.0.0.0:8080`"]);
}

/// What `-t` says of a file and of one that it includes.
fn said_of_both(main: &str, included: &str) -> String {
    let folder = Folder::with(&format!("include: [more.yaml]\n{main}"));
    folder.write("more.yaml", included);
    let (code, said) = folder.run(&["-c", "tidegate.yaml", "-t"]);
    assert_eq!(code, 1, "{said}");
    said
}

/// What a value is, and what it means: both kinds of fault are told in one run.
#[test]
fn faults_of_the_file_and_of_its_meaning_are_told_together() {
    let main = "\
server: { thread: 2, connections: 0 }
listeners:
  - { address: nowhere, timeouts: { header: soon, idle: 0s } }
  - { adress: 127.0.0.1:1, protocols: [h2] }
  - { address: 127.0.0.1:2, https_redirect: perhaps, limits: { uri: 0B } }
  - { address: 127.0.0.1:2, tls: { certificates: [{ cert: none.pem, key: none.key }], min: 1.3 } }
upstreams:
  app: { servers: [{ address: '127.0.0.1:1', weight: 0 }, { address: [] }, 'no port'] }
  bare: nonsense
log: { level: loud, access: { to: none/access.log } }
";
    let included = "\
upstreams:
  more: { servers: [], retries: { attempts: many }, health: { tcp: {}, rise: 0 } }
routes:
  - { nmae: a, upstream: ap }
  - { match: { path: /b, methods: [get, {}] }, upstreams: { app: 0, bare: 1, more: heavy, no: 1 } }
  - { match: { path: relative }, respond: { status: 99, boddy: x } }
  - { match: { path: /d }, respond: {}, compress: { level: 0, types: text } }
";
    let expected = "\
more.yaml:2:11: upstreams.more.servers: is empty; name at least one server
more.yaml:2:45: upstreams.more.retries.attempts: expected a whole number, found `many`
more.yaml:2:78: upstreams.more.health.rise: is 0; write how many checks in a row
more.yaml:4:7: routes[0].nmae: unknown key (did you mean `name`?)
more.yaml:4:26: routes[0].upstream: there is no upstream `ap` (did you mean `app`?)
more.yaml:5:36: routes[1].match.methods[0]: methods are in upper case: `GET`
more.yaml:5:41: routes[1].match.methods[1]: expected a string, found a mapping
more.yaml:5:66: routes[1].upstreams.app: a weight of 0 is never chosen; leave the upstream out
more.yaml:5:84: routes[1].upstreams.more: expected a whole number, found `heavy`
more.yaml:5:95: routes[1].upstreams.no: there is no upstream `no`
more.yaml:6:22: routes[2].match.path: `relative` is not in normal form; write `/relative`
more.yaml:6:53: routes[2].respond.status: is not from 200 to 599
more.yaml:6:57: routes[2].respond.boddy: unknown key (did you mean `body`?)
more.yaml:7:60: routes[3].compress.level: is not from 1 to 9
more.yaml:7:70: routes[3].compress.types: expected a list, found `text`
tidegate.yaml:2:11: server.thread: unknown key (did you mean `threads`?)
tidegate.yaml:2:35: server.connections: must be more than 0
tidegate.yaml:4:16: listeners[0].address: `nowhere` is no address to listen on; write 0.0.0.0:8080 or [::]:8080
tidegate.yaml:4:45: listeners[0].timeouts.header: `soon` is no duration; write 250ms, 5s, 10m, 1h or 7d
tidegate.yaml:4:57: listeners[0].timeouts.idle: must be longer than 0
tidegate.yaml:5:7: listeners[1].adress: unknown key (did you mean `address`?)
tidegate.yaml:5:40: listeners[1].protocols[0]: h2 needs tls; without it write h2c
tidegate.yaml:6:45: listeners[2].https_redirect: `perhaps` is neither on, off nor a port
tidegate.yaml:6:69: listeners[2].limits.uri: must be more than 0
tidegate.yaml:7:16: listeners[3].address: is the address of listeners[2] already; see tidegate.yaml:6:16
tidegate.yaml:7:59: listeners[3].tls.certificates[0].cert: none.pem: No such file or directory (os error 2)
tidegate.yaml:7:74: listeners[3].tls.certificates[0].key: none.key: No such file or directory (os error 2)
tidegate.yaml:7:87: listeners[3].tls.min: unknown key
tidegate.yaml:9:54: upstreams.app.servers[0].weight: is 0; leave the server out instead
tidegate.yaml:9:61: upstreams.app.servers[1].address: expected a string, found a list
tidegate.yaml:9:76: upstreams.app.servers[2].address: `no port` has no port; write host:port, [v6]:port or unix:/path
tidegate.yaml:10:9: upstreams.bare: expected a mapping, found `nonsense`
tidegate.yaml:11:15: log.level: expected `error`, `warn`, `info`, `debug` or `trace`, found `loud`
tidegate.yaml:11:35: log.access.to: `none/access.log` has no directory; make `none`
";
    let said = said_of_both(main, included);
    assert_eq!(said, expected);
}

/// One mistake is one fault: what only follows from it is not told.
#[test]
fn a_fault_of_the_file_causes_no_other() {
    let check = |lines: &str, expected: &str| {
        let given = |section: &str| {
            lines.lines().any(|line| line.split(':').next() == section.split(':').next())
        };
        let rest = [
            "listeners: [{ address: '127.0.0.1:1' }]",
            "upstreams: { app: { servers: ['127.0.0.1:1'] } }",
            "routes: [{ upstream: app }]",
        ];
        let rest: Vec<_> = rest.into_iter().filter(|section| !given(section)).collect();
        let folder = Folder::with(&format!("{lines}\n{}\n", rest.join("\n")));
        folder.write("broken.yaml", "upstreams: [");
        let (code, said) = folder.run(&["-c", "tidegate.yaml", "-t"]);
        let told: Vec<_> = said.lines().map(|line| line.split(": ").nth(1).unwrap()).collect();
        assert_eq!((code, told.join(" ").as_str()), (1, expected), "{lines}\n{said}");
    };
    check("upstreams: [app]", "upstreams");
    check("upstreams: { app: nonsense }", "upstreams.app");
    check(
        "upstreams: { app: { discover: { dns: a.example, port: 1 } } }",
        "upstreams.app.discover",
    );
    check("upstreams: { app: { servers: ['a:1'], protocol: h2, tls: on } }", "upstreams.app.tls");
    check("upstreams: {}\nupstreams: { app: { servers: ['a:1'] } }", "upstreams");
    check("listeners: [{ address: '127.0.0.1:1', protocols: [h2], tls: [] }]", "listeners[0].tls");
    check(
        "listeners: [{ address: [] }, { address: {} }]",
        "listeners[0].address listeners[1].address",
    );
    check("listeners: {}", "listeners");
    check("server: { user: nobody, daemon: maybe }", "server.daemon");
    check("server: { pid_file: x/pid, upgrade_sock: [x/sock] }", "server.upgrade_sock");
    check("routes: [{ upstrem: app }]", "routes[0].upstrem");
    check("routes: [{ upstream: app, match: [] }, { upstream: app }]", "routes[0].match");
    check(
        "routes: [{ match: { regex: /x }, redirect: { to: '/{1}' } }, { upstream: app }]",
        "routes[0].match.regex",
    );
    check(
        "routes: [{ upstream: app, rewrite: { regex: x, replace: [] } }]",
        "routes[0].rewrite.replace",
    );
    // What the file that cannot be read would have said is not known.
    check(
        "include: [broken.yaml]\nroutes: [{ upstream: other }, { match: { path: x }, upstream: app }]",
        "while parsing a node, did not find expected node content routes[1].match.path",
    );
    check("include: [none.yaml]\nlisteners: []", "include[0]");
}

#[test]
fn a_misspelt_section_is_one_fault() {
    let folder = Folder::with(
        "listener: [{ address: '127.0.0.1:1' }]\n\
         upstrems: { app: { servers: ['127.0.0.1:1'] } }\n\
         routes: [{ upstream: app }]\n",
    );
    let expected = "tidegate.yaml:1:1: listener: unknown key (did you mean `listeners`?)\n\
                    tidegate.yaml:2:1: upstrems: unknown key (did you mean `upstreams`?)\n";
    assert_eq!(folder.run(&["-c", "tidegate.yaml", "-t"]), (1, expected.to_owned()));
}

#[test]
fn the_place_of_the_first_of_two_is_told_across_files() {
    let main = "listeners: [{ address: 127.0.0.1:1 }]\n\
                routes: [{ name: a, match: { path: /x }, respond: {} }]\n";
    let included = "\n\nroutes: [{ name: a, match: { path: /x }, respond: {} }]\n";
    assert_eq!(
        said_of_both(main, included),
        "more.yaml:3:18: routes[1].name: `a` is already the name of routes[0]; \
         see tidegate.yaml:3:18\n\
         more.yaml:3:21: routes[1].match: the same match as routes[0] (`a`) (any host); keep one; \
         see tidegate.yaml:3:21\n"
    );
}

/// What would take connections and serve none must not look alive.
#[test]
fn a_process_whose_workers_cannot_start_ends() {
    let [port, admin] = ports::free();
    let folder = Folder::with(&format!(
        "server: {{ threads: 24, pid_file: run/pid, upgrade_sock: run/sock }}\n\
         admin: {{ listen: '127.0.0.1:{admin}' }}\n\
         listeners: [{{ address: '127.0.0.1:{port}' }}]\n\
         routes: [{{ respond: {{ status: 200, body: ok }} }}]\n"
    ));
    // Each worker needs four descriptors of its own; the rest does with forty.
    let mut command = Command::new("timeout");
    command.args(["60", "prlimit", "--nofile=80", BINARY, "-c", "tidegate.yaml"]);
    command.current_dir(folder.path());
    let (code, said) = ran(&mut command);
    assert_eq!(code, 1, "{said}");
    assert!(said.contains("a worker cannot start"), "{said}");
    assert!(said.contains("nothing was served"), "{said}");
}

#[test]
fn a_file_that_cannot_be_read_is_said() {
    let folder = Folder::new();
    let (code, said) = folder.run(&["-c", "none.yaml", "-t"]);
    assert_eq!(code, 1);
    assert!(said.starts_with("none.yaml:1:1: cannot be read: No such file"), "{said}");
    assert_eq!(folder.run(&["-c", "none.yaml"]), (1, said));
    let (code, said) = folder.run(&["-c", ".", "-t"]);
    assert_eq!(code, 1);
    assert!(said.contains("is no regular file"), "{said}");
    // Without -c it is the file of the contract.
    let (code, said) = folder.run(&["-t"]);
    assert_eq!(code, 1);
    assert!(said.starts_with("conf/tidegate.yaml:1:1: cannot be read"), "{said}");
    assert!(folder.content().is_empty());
}

#[test]
fn faults_of_variables_and_includes_name_their_file() {
    let folder = Folder::with(
        "include: [conf.d/*.yaml]\n\
         listeners: [{ address: '127.0.0.1:${NO_SUCH_PORT}' }]\n\
         upstreams: { app: { servers: ['127.0.0.1:1'] } }\n",
    );
    let test = ["-c", "tidegate.yaml", "-t"];
    folder.write("conf.d/a.yaml", "routes: [{ upstream: app, nmae: x }]\n");
    let (code, said) = folder.run(&test);
    assert_eq!(code, 1);
    let mut lines: Vec<&str> = said.lines().collect();
    lines.sort_unstable();
    assert_eq!(lines.len(), 2, "{said}");
    assert!(lines[0].starts_with("conf.d/a.yaml:1:27: routes[0].nmae: unknown key"), "{said}");
    assert!(lines[1].starts_with("tidegate.yaml:2:24: listeners[0].address: "), "{said}");
    assert!(lines[1].contains("NO_SUCH_PORT"), "{said}");

    let more = "upstreams: { app: { servers: ['127.0.0.1:2'] } }\n";
    folder.write("conf.d/a.yaml", &format!("routes: [{{ upstream: app }}]\n{more}"));
    let (code, said) = ran(folder.command(&test).env("NO_SUCH_PORT", "8080"));
    assert_eq!(code, 1);
    assert!(said.contains("conf.d/a.yaml:2:14: upstreams.app: "), "{said}");
    assert!(said.contains("tidegate.yaml:3:14"), "both places: {said}");
}

/// Every key of the contract whose room is not built, and how it is written.
const NOT_YET: [(&str, &str); 5] = [
    ("server.reload_on_change", "server: { reload_on_change: on }"),
    ("log.traces", "log: { traces: { otlp: 'http://a' } }"),
    ("listeners[].tls.acme", "listeners: [{ tls: { acme: { names: [a.example] } } }]"),
    ("upstreams.*.discover", "upstreams: { app: { discover: { dns: a.example, port: 1 } } }"),
    ("routes[].mirror", "routes: [{ mirror: { upstream: a } }]"),
];

#[test]
fn keys_that_are_not_supported_yet_are_refused_as_such() {
    for (pattern, config) in NOT_YET {
        let folder = Folder::with(config);
        let (code, said) = folder.run(&["-c", "tidegate.yaml", "-t"]);
        assert_eq!(code, 1, "{pattern}");
        let key = pattern.replace("[]", "[0]").replace('*', "app");
        let expected = format!(": {key}: is not supported yet");
        assert!(said.lines().any(|line| line.ends_with(&expected)), "{pattern}: {said}");
    }
}

#[test]
fn the_table_of_keys_not_supported_yet_is_whole() {
    let source = include_str!("../../src/config/written.rs");
    let (_, list) = source.split_once("const NOT_YET: &[&str] = &[").unwrap();
    let (list, _) = list.split_once("];").unwrap();
    let refused: BTreeSet<&str> = list.split('"').skip(1).step_by(2).collect();
    assert_eq!(BTreeSet::from(NOT_YET.map(|(pattern, _)| pattern)), refused);
}

#[test]
fn user_and_group_are_refused_unless_started_as_root_in_the_background() {
    let config =
        format!("{GOOD}\n").replace("server: {", "server: { user: nobody, group: nogroup,");
    let folder = Folder::with(&config.replace("logs/", ""));
    let faults = |said: &str, what: &str| {
        let keys = ["server.user: ", "server.group: "];
        keys.iter().all(|key| said.contains(&format!("{key}{what}")))
    };
    if rustix::process::geteuid().is_root() {
        let (code, said) = folder.run(&["-c", "tidegate.yaml", "-t"]);
        assert_eq!(code, 1);
        assert!(faults(&said, "acts with `daemon: on` only"), "{said}");
    }
    let (code, said) = ran(&mut as_nobody(&folder, &["-c", "tidegate.yaml", "-t"]));
    assert_eq!(code, 1);
    assert!(faults(&said, "only root may change it"), "{said}");
}

#[test]
fn a_start_of_root_for_a_user_or_a_group_that_is_not_there_is_refused() {
    assert!(
        rustix::process::geteuid().is_root(),
        "only root is asked for users; scripts/test.sh has sudo run this test"
    );
    let server = "server: { daemon: on, user: no-such-user, group: no-such-group }\n";
    let rest = "listeners: [{ address: '127.0.0.1:1' }]\nroutes: [{ respond: {} }]\n";
    let folder = Folder::with(&format!("{server}{rest}"));
    let expected = "tidegate.yaml:1:29: server.user: there is no user `no-such-user` on this machine; write its name\n\
                    tidegate.yaml:1:50: server.group: there is no group `no-such-group` on this machine; write its name\n";
    // A daemon would have died of it after its parent had said that all was well.
    for test in [&["-c", "tidegate.yaml"][..], &["-c", "tidegate.yaml", "-t"]] {
        assert_eq!(folder.run(test), (1, expected.to_owned()));
    }
    let good = server.replace("no-such-user", "nobody").replace("no-such-group", "nogroup");
    folder.write("tidegate.yaml", &format!("{good}{rest}"));
    assert_eq!(folder.run(&["-c", "tidegate.yaml", "-t"]).0, 0);
}

/// The command as somebody who is not root, in a folder that all may read.
fn as_nobody(folder: &Folder, arguments: &[&str]) -> Command {
    if !rustix::process::geteuid().is_root() {
        return folder.command(arguments);
    }
    // Who is not root may not reach the folder of the build.
    let binary = folder.path().join("tidegate");
    // By another process: a child forked meanwhile would hold our copy open for
    // writing, and what is open for writing cannot be run.
    assert!(Command::new("cp").arg(BINARY).arg(&binary).status().unwrap().success());
    fs::set_permissions(folder.path(), fs::Permissions::from_mode(0o755)).unwrap();
    let mut command = Command::new(binary);
    command.args(arguments).current_dir(folder.path()).uid(65534).gid(65534);
    command
}

#[test]
fn a_limit_by_what_access_fills_names_both_keys() {
    let folder = Folder::with(
        "listeners: [{ address: '127.0.0.1:0' }]
rate_limits:
  few: { rate: 1/s, key: { header: X-User } }
routes:
  - upstream: app
    rate_limits: [few]
    access:
      forward: { url: 'http://127.0.0.1:1/', headers: [x-user] }
upstreams: { app: { servers: ['127.0.0.1:1'] } }
",
    );
    let said = [
        "tidegate.yaml:3:36: rate_limits.few.key.header: counts what clients write in `X-User`",
        ", before access changes it; write client_ip, or another field; see tidegate.yaml:8:56\n",
    ]
    .concat();
    assert_eq!(folder.run(&["-c", "tidegate.yaml", "-t"]), (1, said));
}

#[test]
fn https_to_who_is_asked_needs_authorities() {
    let folder = Folder::with(
        "listeners: [{ address: '127.0.0.1:0' }]
routes: [{ respond: {}, access: { forward: { url: 'https://a.example/' } } }]
",
    );
    let mut command = Command::new(BINARY);
    command.args(["-c", "tidegate.yaml", "-t"]).current_dir(folder.path());
    command.env("SSL_CERT_FILE", "none.pem").env_remove("SSL_CERT_DIR");
    let (code, said) = ran(&mut command);
    let start =
        "tidegate.yaml:2:51: routes[0].access.forward.url: https needs the system's authorities: ";
    assert!(code == 1 && said.starts_with(start) && said.contains("none.pem"), "{code} {said}");
    assert_eq!(said.lines().count(), 1, "{said}");
}
