//! How connections learn that the process is to end.

use std::future::Future;
use std::pin::Pin;
use std::time::Duration;

use pingora::server::ShutdownWatch;

/// How long exchanges that are cut may take to say so in their records.
pub(super) const LAST_WORDS: Duration = Duration::from_millis(200);

/// How long a connection may still take to begin: on a slow path a handshake
/// takes a second, and what never begins must not hold the end up.
const BEGINNING: Duration = Duration::from_secs(2);

/// The two steps to the end: no new requests, then no requests at all.
#[derive(Debug, Clone)]
pub(crate) struct Shutdown {
    closing: ShutdownWatch,
    cut: ShutdownWatch,
}

impl Shutdown {
    /// `closing` turns true when nothing new is to be accepted, `cut` when
    /// what is still running is to end at once.
    pub(crate) fn new(closing: ShutdownWatch, cut: ShutdownWatch) -> Self {
        Shutdown { closing, cut }
    }

    /// The first step as pingora knows it.
    pub(crate) fn watch(&self) -> &ShutdownWatch {
        &self.closing
    }

    /// Returns once nothing new is to be accepted.
    pub(super) async fn closing(&self) {
        reached(self.closing.clone()).await;
    }

    /// Runs what comes before the first request; none if the process is to end
    /// and it takes too long.
    pub(super) async fn bound_beginning<T>(
        &self,
        beginning: impl Future<Output = Option<T>>,
    ) -> Option<T> {
        tokio::select! {
            biased;
            begun = beginning => begun,
            () = self.closing_for(BEGINNING) => None,
        }
    }

    async fn closing_for(&self, period: Duration) {
        self.closing().await;
        tokio::time::sleep(period).await;
    }

    /// Runs `connection`, or most of it if it is cut, or as far as it came if
    /// its seat is `lost`.
    pub(super) async fn bound(
        &self,
        connection: impl Future<Output = ()>,
        lost: impl Future<Output = ()>,
    ) {
        tokio::select! {
            biased;
            () = connection => {}
            () = self.cut_and_over() => {}
            () = lost => {}
        }
    }

    /// An ear for both steps that is kept over many waits: to begin to listen
    /// takes a lock, and a connection waits twice a request.
    pub(super) fn notice(&self) -> Notice {
        Notice { closing: Step::new(self.closing.clone()), cut: Step::new(self.cut.clone()) }
    }

    /// Returns once exchanges have been cut and have had their last words.
    async fn cut_and_over(&self) {
        reached(self.cut.clone()).await;
        tokio::time::sleep(2 * LAST_WORDS).await;
    }
}

/// What one connection hears of the end of the process.
pub(super) struct Notice {
    pub(super) closing: Step,
    cut: Step,
}

impl Notice {
    /// Runs `exchange`; where it is cut, `tell` lets it know, and it has a
    /// moment to end in order.
    pub(super) async fn bound_exchange<T>(
        &mut self,
        exchange: impl Future<Output = Option<T>>,
        tell: impl FnOnce(),
    ) -> Option<T> {
        let mut exchange = std::pin::pin!(exchange);
        tokio::select! {
            biased;
            done = exchange.as_mut() => return done,
            () = self.cut.reached() => tell(),
        }
        tokio::time::timeout(LAST_WORDS, exchange).await.ok().flatten()
    }
}

/// One step, awaited as often as one likes.
pub(super) struct Step(
    // None once it has been reached.
    Option<Pin<Box<dyn Future<Output = ()> + Send>>>,
);

impl Step {
    fn new(step: ShutdownWatch) -> Self {
        Step(Some(Box::pin(reached(step))))
    }

    /// Returns once the step is reached, at once if it was before. May be
    /// dropped and called again.
    pub(super) async fn reached(&mut self) {
        if let Some(wait) = &mut self.0 {
            wait.await;
            self.0 = None;
        }
    }
}

/// Returns once `step` is true; never if nobody can say so any more.
async fn reached(mut step: ShutdownWatch) {
    if step.wait_for(|reached| *reached).await.is_err() {
        std::future::pending().await
    }
}
