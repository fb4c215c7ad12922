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
            "4:16: listeners[2].address: is the address of listeners[1] already",
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
            "4:7: routes[1].match: the same match as routes[0] (`a`) (b.example); keep one",
            "5:13: routes[2].name: `a` is already the name of routes[0]",
            "6:7: routes[3].match: the same match as routes[2] (`a`) (any host); keep one",
        ],
    );
    check("listeners: [", &["1:13: while parsing a node, did not find expected node content"]);
    check("", &["1:1: listeners: none; write at least `- address: 0.0.0.0:8080`"]);
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
    assert!(said.contains("directory"), "{said}");
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
const NOT_YET: [(&str, &str); 25] = [
    ("server.shed", "server: { shed: { queue: on } }"),
    ("server.reload_on_change", "server: { reload_on_change: on }"),
    ("log.security", "log: { security: { to: stdout } }"),
    ("log.traces", "log: { traces: { otlp: 'http://a' } }"),
    ("clients.geo", "clients: { geo: { country: a.mmdb } }"),
    ("listeners[].tls.acme", "listeners: [{ tls: { acme: { names: [a.example] } } }]"),
    ("listeners[].limits.min_rate", "listeners: [{ limits: { min_rate: 200B/s } }]"),
    ("listeners[].h2.resets_per_minute", "listeners: [{ h2: { resets_per_minute: 200 } }]"),
    ("upstreams.*.discover", "upstreams: { app: { discover: { dns: a.example, port: 1 } } }"),
    ("waf", "waf: { standard: { mode: block } }"),
    ("rate_limits", "rate_limits: { a: { key: client_ip, rate: 1/s } }"),
    ("bans", "bans: { after: 1 }"),
    ("cache", "cache: { memory: 1MiB }"),
    ("defaults.waf", "defaults: { waf: standard }"),
    ("defaults.rate_limits", "defaults: { rate_limits: [a] }"),
    ("defaults.cache", "defaults: { cache: off }"),
    ("defaults.priority", "defaults: { priority: low }"),
    ("routes[].waf", "routes: [{ waf: off }]"),
    ("routes[].rate_limits", "routes: [{ rate_limits: [a] }]"),
    ("routes[].cache", "routes: [{ cache: media }]"),
    ("routes[].priority", "routes: [{ priority: low }]"),
    ("routes[].mirror", "routes: [{ mirror: { upstream: a } }]"),
    ("routes[].access", "routes: [{ access: { allow: [10.0.0.0/8] } }]"),
    ("routes[].cors", "routes: [{ cors: { origins: ['*'] } }]"),
    ("routes[].timeouts", "routes: [{ timeouts: { total: 1s } }]"),
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
fn a_user_or_a_group_that_is_not_there_is_refused() {
    assert!(rustix::process::geteuid().is_root(), "run this test as root");
    let server = "server: { daemon: on, user: no-such-user, group: no-such-group }\n";
    let rest = "listeners: [{ address: '127.0.0.1:1' }]\nroutes: [{ respond: {} }]\n";
    let folder = Folder::with(&format!("{server}{rest}"));
    let expected = "tidegate.yaml:1:29: server.user: there is no user `no-such-user` on this machine\n\
                    tidegate.yaml:1:50: server.group: there is no group `no-such-group` on this machine\n";
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
