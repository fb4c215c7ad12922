//! The command line: what to do, and with which configuration.

mod explain;
mod hash_password;
mod purge;

use std::io::Write;
use std::path::PathBuf;
use std::process::ExitCode;

use clap::{Parser, Subcommand};

use crate::config::Written;
use crate::server::{self, Start};

use self::explain::Options;
use self::hash_password::Kind;

/// An edge reverse proxy: one process between the internet and a site's servers.
#[derive(Debug, Parser)]
#[command(version, about, args_conflicts_with_subcommands = true)]
struct Arguments {
    /// The configuration file.
    #[arg(short, long, value_name = "FILE", default_value = "conf/tidegate.yaml")]
    conf: PathBuf,
    /// Test the configuration, print every fault, and exit.
    #[arg(short, long)]
    test: bool,
    /// Run in the background.
    #[arg(short, long)]
    daemon: bool,
    /// Take the sockets over from the running process, which then gets SIGQUIT.
    #[arg(short, long)]
    upgrade: bool,
    #[command(subcommand)]
    command: Option<Command>,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Run with two small built-in servers, to try things out.
    Demo,
    /// Run in front of one server, without a file.
    Proxy {
        /// The server: host:port, [v6]:port or unix:/path.
        #[arg(long, value_name = "ADDR")]
        to: String,
        /// Where to listen.
        #[arg(long, value_name = "ADDR", default_value = "0.0.0.0:8080")]
        listen: String,
    },
    /// Say which rules of the WAF match a request, and what would let it pass.
    ///
    /// Nothing is sent: the request is judged as one that came to the proxy would be. The options
    /// of URLs are curl's, so that a command for curl works with `tidegate explain` instead. The
    /// exit code is 0 if the request passes, 1 if it would be refused, and 2 if that cannot be told.
    Explain(Box<Options>),
    /// Have a running process forget what it keeps of answers.
    Purge(purge::Options),
    /// Hash a password for a file of users, from the terminal or a pipe.
    HashPassword {
        /// A hash that other servers read, too, instead of argon2id.
        #[arg(long)]
        bcrypt: bool,
    },
}

/// Does what the command line says; the exit code is that of the process.
pub fn main() -> ExitCode {
    let arguments = Arguments::parse();
    let done = match arguments.command {
        Some(Command::Demo) => crate::demo::run(),
        Some(Command::Proxy { to, listen }) => server::run(proxy(&to, &listen), Start::default()),
        Some(Command::Purge(options)) => purge::run(options),
        Some(Command::HashPassword { bcrypt: true }) => hash_password::run(Kind::Bcrypt),
        Some(Command::HashPassword { bcrypt: false }) => hash_password::run(Kind::Argon2),
        Some(Command::Explain(options)) => return explain::run(&options),
        None if arguments.test => return test(&arguments.conf),
        None => {
            let start = Start { upgrade: arguments.upgrade, daemon: arguments.daemon };
            server::run(Written::File(arguments.conf), start)
        }
    };
    match done {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            say(&format!("{error:#}"));
            ExitCode::FAILURE
        }
    }
}

fn test(conf: &std::path::Path) -> ExitCode {
    match server::test(&Written::File(conf.to_owned())) {
        Ok(warnings) => {
            for warning in warnings {
                say(&format!("warning: {warning}"));
            }
            say(&format!("{}: good", conf.display()));
            ExitCode::SUCCESS
        }
        Err(report) => {
            say(&report.to_string());
            ExitCode::FAILURE
        }
    }
}

/// The three lines of `tidegate proxy`, as a file would say them.
fn proxy(to: &str, listen: &str) -> Written {
    let quoted = |text: &str| serde_json::Value::from(text).to_string();
    let text = format!(
        "listeners: [{{ address: {listen} }}]\n\
         upstreams: {{ app: {{ servers: [{to}] }} }}\n\
         routes: [{{ upstream: app }}]\n",
        listen = quoted(listen),
        to = quoted(to),
    );
    Written::Text { name: "tidegate proxy".to_owned(), text }
}

/// Prints to standard error; a closed one is no reason to fail.
fn say(text: &str) {
    if writeln!(std::io::stderr(), "{text}").is_err() {
        ::log::debug!("standard error is closed");
    }
}
