//! `tidegate hash-password`: what stands after a name in a file of users.

use std::io::{self, BufRead, IsTerminal, Read, Write};

use anyhow::{Context, bail};
use rustix::termios::{LocalModes, OptionalActions, Termios, tcgetattr, tcsetattr};
use tokio::runtime::Builder;
use tokio::signal::unix::{SignalKind, signal};
use tokio::task::spawn_blocking;

use crate::access::{LONGEST_PASSWORD, hash_by_argon2, hash_by_bcrypt};

/// How a password is hashed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Kind {
    Argon2,
    Bcrypt,
}

/// Asks for a password, or reads the first line of a pipe; prints its hash.
pub(super) fn run(kind: Kind) -> anyhow::Result<()> {
    let password = read()?;
    let hash = match kind {
        Kind::Argon2 => hash_by_argon2(&password)?,
        Kind::Bcrypt => hash_by_bcrypt(&password)?,
    };
    writeln!(io::stdout(), "{hash}").context("standard output")
}

fn read() -> anyhow::Result<Vec<u8>> {
    if !io::stdin().is_terminal() {
        return read_line();
    }
    let runtime = Builder::new_current_thread().enable_io().build()?;
    let _silent = Silent::new()?;
    let password = runtime.block_on(async {
        tokio::select! {
            ended = told_to_end() => ended,
            asked = spawn_blocking(ask_twice) => asked?,
        }
    });
    // What still waits for a line is nobody's.
    runtime.shutdown_background();
    password
}

/// Who ends us in the middle gets a terminal that shows what is typed.
async fn told_to_end<T>() -> anyhow::Result<T> {
    let kinds = [SignalKind::interrupt(), SignalKind::terminate(), SignalKind::hangup()];
    let [interrupt, terminate, hangup] = kinds.map(signal);
    let (mut interrupt, mut terminate, mut hangup) = (interrupt?, terminate?, hangup?);
    tokio::select! {
        _ = interrupt.recv() => {}
        _ = terminate.recv() => {}
        _ = hangup.recv() => {}
    }
    bail!("interrupted")
}

fn ask_twice() -> anyhow::Result<Vec<u8>> {
    let first = ask("Password: ")?;
    if ask("The same again: ")? != first {
        bail!("the two passwords differ");
    }
    Ok(first)
}

fn ask(prompt: &str) -> anyhow::Result<Vec<u8>> {
    let mut terminal = io::stderr();
    terminal.write_all(prompt.as_bytes())?;
    let line = read_line();
    // The terminal has not shown the end of the line either.
    terminal.write_all(b"\n")?;
    line
}

/// One line of standard input, without its end.
fn read_line() -> anyhow::Result<Vec<u8>> {
    let mut line = Vec::new();
    let bound = LONGEST_PASSWORD as u64 + 2;
    io::stdin().lock().take(bound).read_until(b'\n', &mut line).context("standard input")?;
    if line.last() == Some(&b'\n') {
        line.pop();
        if line.last() == Some(&b'\r') {
            line.pop();
        }
    }
    Ok(line)
}

/// A terminal that does not show what is typed, until this is dropped.
struct Silent(Termios);

impl Silent {
    fn new() -> anyhow::Result<Self> {
        let before = tcgetattr(io::stdin()).context("the terminal")?;
        let mut silent = before.clone();
        silent.local_modes.remove(LocalModes::ECHO);
        tcsetattr(io::stdin(), OptionalActions::Flush, &silent).context("the terminal")?;
        Ok(Silent(before))
    }
}

impl Drop for Silent {
    fn drop(&mut self) {
        if let Err(error) = tcsetattr(io::stdin(), OptionalActions::Flush, &self.0) {
            ::log::warn!("the terminal stays silent: {error}");
        }
    }
}
