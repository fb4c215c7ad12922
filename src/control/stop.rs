//! How the process ends: drained, at once, or replaced by a new one.

use std::os::fd::AsFd;
use std::path::PathBuf;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use async_trait::async_trait;
use pingora::server::{ShutdownSignal, ShutdownSignalWatch};
use tidegate_sockets::{Breaker, HandoverError};
use tokio::signal::unix::{Signal, SignalKind, signal};
use tokio::sync::watch;
use tokio::task::{JoinError, JoinHandle};

use crate::listen::{Opened, Seats, Serving};
use crate::site::State;

use super::ban_file::KeptBans;
use super::reload::Reloader;
use super::snapshot;
use super::store;

/// How long a new process may take to say that it serves.
const PATIENCE: Duration = Duration::from_secs(60);

/// How long all connections may take to end once they are cut; `listen` gives
/// each of them less.
const CONNECTIONS_END: Duration = Duration::from_secs(1);
/// How long a hand-over may take to end once it is broken off.
const HANDOVER_ENDS: Duration = Duration::from_secs(1);
/// How long disks may take to write what the cache gave them last.
const LAST_ANSWERS: Duration = Duration::from_secs(5);
/// How long it may take to list what is in memory for a new process.
const LAST_LIST: Duration = Duration::from_secs(1);
/// How long the last bans may take to be written.
const LAST_BANS: Duration = Duration::from_secs(1);

/// Waits for the signal to end, and ends in order.
///
/// Pingora would end the old process even if the new one never took over, and
/// then sleep its whole grace period; this returns only when all is done.
pub(crate) struct Stop {
    pub(crate) state: Arc<State>,
    pub(crate) reloader: Arc<Reloader>,
    pub(crate) seats: Arc<Seats>,
    /// Tells listeners and connections that the process is to end.
    pub(crate) closing: watch::Sender<bool>,
    /// Tells the admin listener that a new process answers in its place; it
    /// stays during a drain, to say that this process is not ready.
    pub(crate) replaced: watch::Sender<bool>,
    /// Tells that signals are handled from now on.
    pub(crate) handled: watch::Sender<bool>,
    /// Tells connections that whatever still runs is to end at once.
    pub(crate) cut: watch::Sender<bool>,
    pub(crate) serving: watch::Receiver<Serving>,
    pub(crate) drain: Duration,
    pub(crate) upgrade_sock: PathBuf,
    pub(crate) bans: Arc<KeptBans>,
    /// Every listening socket, the admin's included; none once draining, so
    /// that the last to accept closes them.
    pub(crate) sockets: Mutex<Vec<Opened>>,
    /// Has the pid file name this process, though another wrote it.
    pub(crate) name_again: Box<dyn Fn() + Send + Sync>,
}

#[async_trait]
impl ShutdownSignalWatch for Stop {
    async fn recv(&self) -> ShutdownSignal {
        let kinds = [SignalKind::terminate(), SignalKind::quit(), SignalKind::interrupt()];
        let [Ok(mut terminate), Ok(mut quit), Ok(mut interrupt)] = kinds.map(signal) else {
            ::log::error!("signals cannot be received; ending");
            return ShutdownSignal::FastShutdown;
        };
        self.handled.send_replace(true);
        loop {
            tokio::select! {
                _ = interrupt.recv() => break self.leave_bans().await,
                () = self.never_serving() => break,
                _ = terminate.recv() => break self.drain(&mut interrupt).await,
                _ = quit.recv() => match self.hand_over(&mut terminate, &mut interrupt).await {
                    // Who failed may have been killed, and have named itself before.
                    HandedOver::Refused => (self.name_again)(),
                    HandedOver::Done => {
                        self.be_replaced();
                        break self.drain(&mut interrupt).await;
                    }
                    HandedOver::Terminated => break self.drain(&mut interrupt).await,
                    HandedOver::Interrupted => break self.leave_bans().await,
                },
            }
        }
        self.cut().await;
        self.keep_bans().await;
        self.keep_answers().await;
        // Everything is done: nothing for pingora to wait for.
        ShutdownSignal::FastShutdown
    }
}

impl Stop {
    /// Lets requests in flight end, as long as `drain` allows and nobody
    /// interrupts; readiness goes first.
    async fn drain(&self, interrupt: &mut Signal) {
        self.state.begin_draining();
        ::log::info!("draining {} connections", self.seats.taken());
        self.leave_bans().await;
        self.closing.send_replace(true);
        self.sockets().clear();
        let ended = async {
            // Who waited to be accepted has a seat after this, also if nobody
            // accepted so far.
            let mut serving = self.serving.clone();
            serving
                .wait_for(|serving| matches!(serving, Serving::Over | Serving::Never))
                .await
                .ok();
            self.seats.all_free().await;
        };
        tokio::select! {
            () = ended => {}
            () = tokio::time::sleep(self.drain) => {
                ::log::warn!("{} connections are cut after {:?}", self.seats.taken(), self.drain);
            }
            _ = interrupt.recv() => {}
        }
    }

    /// Notes that another process serves, whose file of bans it is.
    fn be_replaced(&self) {
        self.bans.leave();
        self.state.vault.store.retire();
        self.replaced.send_replace(true);
    }

    /// Writes the bans of the last seconds while this process has the sockets: once
    /// it has not, the file may be another one's.
    async fn leave_bans(&self) {
        if !*self.replaced.borrow() {
            self.bans.tell();
        }
        self.keep_bans().await;
        self.bans.leave();
    }

    /// Writes what bans there are that no file has, unless the process has never
    /// served: then all is another one's.
    async fn keep_bans(&self) {
        if !self.has_served() {
            return;
        }
        let bans = self.bans.clone();
        let written = tokio::task::spawn_blocking(move || bans.write());
        match tokio::time::timeout(LAST_BANS, written).await {
            Ok(Ok(())) => {}
            Ok(Err(error)) => ::log::error!("the last bans are not written: {error}"),
            Err(_) => ::log::warn!("the last bans are not written in time"),
        }
    }

    fn has_served(&self) -> bool {
        matches!(*self.serving.borrow(), Serving::Now | Serving::Over)
    }

    /// Waits until the disks have what they were given, and know what is in memory.
    async fn keep_answers(&self) {
        let written = async {
            self.state.vault.store.flush().await;
            if self.has_served() && !*self.replaced.borrow() {
                self.list_answers().await;
            }
        };
        if tokio::time::timeout(LAST_ANSWERS, written).await.is_err() {
            ::log::warn!("the last answers for the cache are not written in time");
        }
    }

    /// Lists what is in memory, for the process that comes next.
    async fn list_answers(&self) {
        if self.state.vault.has_disks() {
            store::list(self.state.vault).await;
        }
    }

    /// Returns once it is known that this process will never serve.
    async fn never_serving(&self) {
        let mut serving = self.serving.clone();
        if serving.wait_for(|serving| *serving == Serving::Never).await.is_err() {
            std::future::pending().await
        }
    }

    /// Ends what still runs; each request has its record after that.
    async fn cut(&self) {
        self.closing.send_replace(true);
        self.cut.send_replace(true);
        if tokio::time::timeout(CONNECTIONS_END, self.seats.all_free()).await.is_err() {
            ::log::warn!("{} connections did not end in order", self.seats.taken());
        }
    }

    fn sockets(&self) -> MutexGuard<'_, Vec<Opened>> {
        self.sockets.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Gives the sockets to a new process. Whoever tells this one to end is
    /// heard meanwhile, whatever the new one does.
    async fn hand_over(&self, terminate: &mut Signal, interrupt: &mut Signal) -> HandedOver {
        if tokio::time::timeout(LAST_LIST, self.list_answers()).await.is_err() {
            ::log::warn!("what is in memory is not listed in time for the new process");
        }
        let breaker = Arc::new(Breaker::default());
        let mut offered = self.offer(breaker.clone());
        let told = tokio::select! {
            biased;
            offered = &mut offered => return report(offered),
            _ = interrupt.recv() => HandedOver::Interrupted,
            _ = terminate.recv() => HandedOver::Terminated,
        };
        breaker.break_off();
        // It holds the listening sockets, which nobody is to wait at any more.
        match tokio::time::timeout(HANDOVER_ENDS, offered).await.map(report) {
            Ok(HandedOver::Done) if told == HandedOver::Terminated => HandedOver::Done,
            Ok(HandedOver::Done) => {
                self.be_replaced();
                told
            }
            Ok(_) => told,
            Err(_) => {
                ::log::warn!("the hand-over did not end in order");
                told
            }
        }
    }

    fn offer(&self, breaker: Arc<Breaker>) -> JoinHandle<Result<(), HandoverError>> {
        let path = self.upgrade_sock.clone();
        let (sockets, site) = (self.sockets().clone(), self.reloader.site());
        let (state, bans) = (self.state.clone(), self.bans.clone());
        tokio::task::spawn_blocking(move || {
            let named =
                sockets.iter().map(|opened| (&*opened.listener.name, opened.socket.as_fd()));
            let named: Vec<_> = named.collect();
            bans.tell();
            let snapshot = snapshot::take(&site, &state.ledger);
            tidegate_sockets::offer(&path, &named, snapshot.as_ref(), PATIENCE, &breaker)
        })
    }
}

/// How an attempt to hand over ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum HandedOver {
    /// The new process serves.
    Done,
    /// This process serves on.
    Refused,
    /// Told to drain meanwhile.
    Terminated,
    /// Told to end at once meanwhile.
    Interrupted,
}

fn report(offered: Result<Result<(), HandoverError>, JoinError>) -> HandedOver {
    let offered = offered.map_err(anyhow::Error::from);
    match offered.and_then(|offered| offered.map_err(anyhow::Error::from)) {
        Ok(()) => {
            ::log::info!("the new process serves");
            HandedOver::Done
        }
        Err(error) if matches!(error.downcast_ref(), Some(HandoverError::BrokenOff)) => {
            ::log::info!("told to end: nothing is handed over");
            HandedOver::Refused
        }
        Err(error) => {
            ::log::error!("not replaced, this process serves on: {error:#}");
            HandedOver::Refused
        }
    }
}

#[cfg(test)]
mod tests {
    use std::path::Path;
    use std::time::Instant;

    use super::super::ban_file::BanFile;
    use super::super::owner::Owner;
    use super::super::reload::reloader_of_one_answer;
    use super::*;
    use crate::listen::Bounds;

    /// The end of a process whose listeners are over, and have no connections.
    fn stop(folder: &Path) -> Stop {
        let (reloader, state) = reloader_of_one_answer();
        let owner = Owner::new(None).expect("ours");
        let file = BanFile::beside(&folder.join("tidegate.sock"), owner);
        Stop {
            bans: KeptBans::new(file, state.clone()),
            reloader,
            state,
            seats: Seats::new(Bounds { connections: 1, per_client: 1 }),
            closing: watch::Sender::new(false),
            replaced: watch::Sender::new(false),
            handled: watch::Sender::new(false),
            cut: watch::Sender::new(false),
            serving: watch::channel(Serving::Over).1,
            drain: Duration::ZERO,
            upgrade_sock: PathBuf::new(),
            sockets: Mutex::default(),
            name_again: Box::new(|| {}),
        }
    }

    #[test]
    fn readiness_goes_before_listeners_are_told() {
        let folder = tempfile::tempdir().expect("a folder");
        let stop = stop(folder.path());
        let closing = stop.closing.subscribe();
        std::thread::scope(|scope| {
            // While this is held nobody can be told anything.
            let told = closing.borrow();
            scope.spawn(|| {
                let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
                runtime.expect("a runtime").block_on(async {
                    let mut interrupt = signal(SignalKind::user_defined2()).expect("handled");
                    stop.drain(&mut interrupt).await;
                });
            });
            let start = Instant::now();
            while !stop.state.is_draining() && start.elapsed() < Duration::from_secs(10) {
                std::thread::yield_now();
            }
            assert!(stop.state.is_draining(), "listeners would be told first");
            assert!(!*told);
        });
        assert!(*closing.borrow());
    }

    #[tokio::test]
    async fn the_last_bans_are_written_unless_they_are_another_processes() {
        for (serving, replaced, is_written) in [
            (Serving::Now, false, [true, false]),
            (Serving::Over, false, [true, false]),
            (Serving::Now, true, [false, true]),
            (Serving::NotYet, false, [false, false]),
            (Serving::Never, false, [false, false]),
        ] {
            let folder = tempfile::tempdir().expect("a folder");
            let mut stop = stop(folder.path());
            stop.serving = watch::channel(serving).1;
            if replaced {
                stop.be_replaced();
            }
            stop.state
                .ledger
                .ban("192.0.2.1".parse().expect("good"), Duration::from_secs(60))
                .expect("room");
            stop.leave_bans().await;
            let files = ["bans.json", "bans.late.json"];
            let are_there = files.map(|name| folder.path().join(name).exists());
            assert_eq!(are_there, is_written, "{serving:?} {replaced}");
        }
    }
}
