//! Into the background.
//!
//! Not left to pingora, which starts a thread just before it forks: a lock that
//! the thread holds at that moment (the allocator's, say) would stay locked in
//! the new process for ever. Here the process has one thread still. And who
//! starts a daemon hears whether it serves.

use std::ffi::CString;
use std::io::{self, PipeReader, Read};

use anyhow::{Context, Result, anyhow, bail};
use daemonix::{Daemonize, Outcome, Stdio};
use nix::unistd::{Gid, User, initgroups};
use rustix::event::{PollFd, PollFlags, Timespec, poll};

use super::pid_file::PidFile;
use crate::config::Server;
use crate::control::{Starter, group_named, user_named};
use crate::log::ErrorLog;

/// How long a daemon may take until it serves.
const PATIENCE: Timespec = Timespec { tv_sec: 60, tv_nsec: 0 };

/// Goes on in the background, as the user of the settings. The process that was
/// started ends here, once the one in the background serves or has failed.
pub(super) fn leave(
    settings: &Server,
    error_log: &ErrorLog,
    pid_file: &PidFile,
) -> Result<Starter> {
    debug_assert!(is_alone(), "what another thread holds would stay locked");
    let folder = std::env::current_dir().context("the working directory is gone")?;
    let mut daemon = Daemonize::new().working_directory(folder);
    daemon = match &settings.error_log {
        Some(_) => daemon.stderr(error_log.file()?),
        None => daemon.stdout(Stdio::keep()).stderr(Stdio::keep()),
    };
    let identity = Identity::of(settings)?;
    if let Some(user) = &identity.user {
        daemon = daemon.user(user.uid.as_raw());
    }
    if let Some(group) = identity.group {
        daemon = daemon.group(group.as_raw());
    }
    let pid_file = pid_file.clone();
    // The last deeds of root, whose the folder of the pid file may be.
    let daemon = daemon.privileged_action(move || -> Result<()> {
        pid_file.write()?;
        identity.join_groups()
    });
    let (reader, writer) = io::pipe().context("no pipe to the daemon")?;
    match daemon.execute() {
        Outcome::Parent(Ok(_)) => {
            drop(writer);
            hear(reader)?;
            std::process::exit(0)
        }
        Outcome::Parent(Err(error)) => Err(error).context("cannot go into the background"),
        Outcome::Child(done) => {
            done.context("cannot go into the background")?.privileged_action_result?;
            Ok(Starter::new(writer))
        }
    }
}

/// Whether this is the only thread.
fn is_alone() -> bool {
    std::fs::read_dir("/proc/self/task").map_or(true, |threads| threads.count() == 1)
}

/// Waits for the word of the daemon.
fn hear(mut daemon: PipeReader) -> Result<()> {
    let mut wait = [PollFd::new(&daemon, PollFlags::IN)];
    if poll(&mut wait, Some(&PATIENCE))? == 0 {
        bail!("the daemon does not serve after {} s", PATIENCE.tv_sec);
    }
    let mut word = [0];
    daemon
        .read_exact(&mut word)
        .map_err(|_| anyhow!("the daemon ended before it served; the error log says why"))
}

/// Who the daemon becomes.
struct Identity {
    user: Option<User>,
    group: Option<Gid>,
}

impl Identity {
    /// The user, with the user's own group unless another one is named.
    fn of(settings: &Server) -> Result<Identity> {
        let user = settings.user.as_deref().map(user_named).transpose();
        let user = user.map_err(|what| anyhow!(what))?;
        let group = settings.group.as_deref().map(group_named).transpose();
        let group = group.map_err(|what| anyhow!(what))?.map(|group| group.gid);
        let group = group.or_else(|| user.as_ref().map(|user| user.gid));
        Ok(Identity { user, group })
    }

    /// Leaves the groups of root for those of the user.
    fn join_groups(&self) -> Result<()> {
        let Some(user) = &self.user else { return Ok(()) };
        let name = CString::new(user.name.as_str())?;
        initgroups(&name, user.gid).with_context(|| format!("joining the groups of {}", user.name))
    }
}
