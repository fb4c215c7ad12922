//! Into the background.
//!
//! Not left to pingora, which starts a thread just before it forks: a lock that
//! the thread holds at that moment (the allocator's, say) would stay locked in
//! the new process for ever. Here the process has one thread still. And who
//! starts a daemon hears whether it serves.

use std::ffi::CString;
use std::io::{self, PipeReader, Read};
use std::os::unix::fs::chown;

use anyhow::{Context, Result, anyhow, bail};
use daemonix::{Daemonize, Outcome, Stdio};
use nix::unistd::{Gid, Group, User, initgroups};
use rustix::event::{PollFd, PollFlags, Timespec, poll};

use crate::config::Server;
use crate::control::Starter;
use crate::log::append_to;

/// How long a daemon may take until it serves.
const PATIENCE: Timespec = Timespec { tv_sec: 60, tv_nsec: 0 };

/// Goes on in the background, as the user of the settings. The process that was
/// started ends here, once the one in the background serves or has failed.
pub(super) fn leave(settings: &Server) -> Result<Starter> {
    let folder = std::env::current_dir().context("the working directory is gone")?;
    let mut daemon = Daemonize::new().working_directory(folder);
    daemon = match settings.error_log.as_deref() {
        Some(path) => daemon.stderr(append_to(path)?),
        None => daemon.stdout(Stdio::keep()).stderr(Stdio::keep()),
    };
    let identity = Identity::of(settings)?;
    if let Some(user) = &identity.user {
        daemon = daemon.user(user.uid.as_raw());
    }
    if let Some(group) = identity.group {
        daemon = daemon.group(group.as_raw());
    }
    let pid_file = settings.pid_file.clone();
    // The last deeds of root, whose the folder of the pid file may be.
    let daemon = daemon.privileged_action(move || -> Result<()> {
        super::write_pid(&pid_file)?;
        identity.join_groups()?;
        let uid = identity.user.as_ref().map(|user| user.uid.as_raw());
        chown(&pid_file, uid, identity.group.map(Gid::as_raw)).context("giving the pid file away")
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
        let user = match &settings.user {
            Some(name) => Some(User::from_name(name)?.with_context(|| format!("no user {name}"))?),
            None => None,
        };
        let group = match &settings.group {
            Some(name) => {
                let group = Group::from_name(name)?.with_context(|| format!("no group {name}"))?;
                Some(group.gid)
            }
            None => user.as_ref().map(|user| user.gid),
        };
        Ok(Identity { user, group })
    }

    /// Leaves the groups of root for those of the user.
    fn join_groups(&self) -> Result<()> {
        let Some(user) = &self.user else { return Ok(()) };
        let name = CString::new(user.name.as_str())?;
        initgroups(&name, user.gid).with_context(|| format!("joining the groups of {}", user.name))
    }
}
