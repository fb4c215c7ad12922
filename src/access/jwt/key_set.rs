//! Keys that are fetched: again and again, beside requests, the last good ones kept.

use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use arc_swap::ArcSwapOption;
use bytes::Bytes;
use http::header::ACCEPT;
use http::{Request, StatusCode, Uri};
use http_body_util::Empty;
use tokio::sync::{Notify, watch};
use tokio::time::{Instant, timeout};

use super::keys::{Keys, LARGEST};
use crate::access::outbound::Outbound;

/// How often keys are fetched.
const REFRESH: Duration = Duration::from_secs(5 * 60);
/// The longest wait for an answer.
const PATIENCE: Duration = Duration::from_secs(5);
/// The longest pause after one that is none; the first is a second.
const LONGEST_PAUSE: Duration = Duration::from_secs(60);
/// How often tokens with an unknown key may have the keys fetched before it is time.
const WANTED_EVERY: Duration = Duration::from_secs(60);
/// How long a request waits for that.
const WAIT: Duration = Duration::from_secs(2);

/// The keys at a URL; one for all routes that name it, kept over reloads.
#[derive(Debug)]
pub(crate) struct KeySet {
    url: Uri,
    // The URL as logs show it.
    shown: String,
    outbound: Outbound,
    keys: ArcSwapOption<Keys>,
    // Counts fetches, good ones and others.
    fetches: watch::Sender<u64>,
    wanted: Notify,
    // When a token last wanted a fetch, and how many there had been.
    asked: Mutex<Option<(Instant, u64)>>,
}

impl KeySet {
    pub(super) fn new(url: Uri, outbound: Outbound) -> Self {
        // What follows may hold a key.
        let shown = url.to_string().split('?').next().unwrap_or_default().to_owned();
        KeySet {
            url,
            shown,
            outbound,
            keys: ArcSwapOption::empty(),
            fetches: watch::Sender::new(0),
            wanted: Notify::new(),
            asked: Mutex::new(None),
        }
    }

    /// The last good keys; waits a little for the first fetch.
    pub(super) async fn keys(&self) -> Option<Arc<Keys>> {
        let known = self.keys.load_full();
        if known.is_some() {
            return known;
        }
        let mut fetches = self.fetches.subscribe();
        if *fetches.borrow() == 0 {
            // It is over with the wait either way.
            timeout(WAIT, fetches.changed()).await.ok();
        }
        self.keys.load_full()
    }

    /// Has the keys fetched, for a token by one that is not among them; at most
    /// once in a while, for anybody can make up such a token.
    pub(super) async fn refetched(&self) -> Option<Arc<Keys>> {
        let mut fetches = self.fetches.subscribe();
        if self.want(*fetches.borrow_and_update()) {
            // Without an answer in time, the keys are those known before.
            timeout(WAIT, fetches.changed()).await.ok();
        }
        self.keys.load_full()
    }

    /// Whether a fetch that was wanted is still to come.
    fn want(&self, fetches: u64) -> bool {
        let mut asked = self.asked.lock().unwrap_or_else(PoisonError::into_inner);
        match *asked {
            Some((at, then)) if at.elapsed() < WANTED_EVERY => then == fetches,
            _ => {
                *asked = Some((Instant::now(), fetches));
                self.wanted.notify_one();
                true
            }
        }
    }

    /// Fetches the keys, now and from time to time. Never ends.
    pub(crate) async fn keep_fresh(self: Arc<Self>) {
        let mut pause = Duration::from_secs(1);
        let mut is_failing = false;
        loop {
            let fetched = match timeout(PATIENCE, self.fetch()).await {
                Ok(fetched) => fetched,
                Err(_) => Err("no answer in time".to_owned()),
            };
            let next = match fetched {
                Ok(keys) => {
                    self.settle(keys);
                    if std::mem::take(&mut is_failing) {
                        ::log::info!("{}: the keys are there again", self.shown);
                    }
                    pause = Duration::from_secs(1);
                    REFRESH
                }
                Err(why) => {
                    if !std::mem::replace(&mut is_failing, true) {
                        self.complain(&why);
                    }
                    let next = pause;
                    pause = (pause * 2).min(LONGEST_PAUSE);
                    next
                }
            };
            self.fetches.send_modify(|fetches| *fetches += 1);
            // Wanted or not, it is time.
            timeout(next, self.wanted.notified()).await.ok();
        }
    }

    fn complain(&self, why: &str) {
        let now = match self.keys.load().is_some() {
            true => "the last ones stay",
            false => "tokens cannot be verified",
        };
        ::log::warn!("{}: no keys: {why}; {now}", self.shown);
    }

    /// Takes new keys into use. The same keys stay the same, and with them what
    /// is remembered of tokens.
    fn settle(&self, keys: Keys) {
        if self.keys.load().as_deref() != Some(&keys) {
            self.keys.store(Some(Arc::new(keys)));
        }
    }

    async fn fetch(&self) -> Result<Keys, String> {
        let request =
            Request::get(&self.url).header(ACCEPT, "application/jwk-set+json, application/json");
        let request = request.body(Empty::<Bytes>::new()).map_err(|error| error.to_string())?;
        let answer = self.outbound.ask(request, LARGEST as usize).await;
        let answer = answer.map_err(|error| error.to_string())?;
        if answer.status() != StatusCode::OK {
            return Err(format!("answered {}", answer.status().as_u16()));
        }
        let text = std::str::from_utf8(answer.body()).map_err(|_| "no text in UTF-8")?;
        Keys::read(text)
    }
}

#[cfg(test)]
mod tests {
    use rustls::RootCertStore;
    use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
    use tokio::net::TcpListener;

    use super::*;

    /// Of RFC 8037, appendix A.2.
    const KEYS: &str = r#"{"keys":[{"kty":"OKP","crv":"Ed25519","kid":"a",
        "x":"11qYAYKxCrfVS_7TyWQHOg7hcvPapiMlrwIaaPcHURo"}]}"#;

    /// Runs a test beside keys that are kept fresh, at a server that says this
    /// or nothing.
    async fn beside<T>(says: Option<&str>, test: impl AsyncFnOnce(Arc<KeySet>) -> T) -> T {
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port");
        let url = format!("http://{}/", listener.local_addr().expect("bound"));
        let set =
            KeySet::new(url.parse().expect("a URL"), Outbound::new(Ok(RootCertStore::empty())));
        let set = Arc::new(set);
        tokio::select! {
            () = set.clone().keep_fresh() => panic!("it never ends"),
            served = serve(listener, says) => panic!("{served:?}"),
            found = test(set) => found,
        }
    }

    async fn serve(listener: TcpListener, says: Option<&str>) -> std::io::Result<()> {
        let mut held = Vec::new();
        loop {
            let (mut stream, _) = listener.accept().await?;
            if let Some(body) = says {
                let mut head = Vec::new();
                while !head.ends_with(b"\r\n\r\n") {
                    head.push(stream.read_u8().await?);
                }
                let head = "HTTP/1.1 200 OK\r\nconnection: close\r\ncontent-length: ";
                let answer = format!("{head}{}\r\n\r\n{body}", body.len());
                stream.write_all(answer.as_bytes()).await?;
            }
            held.push(stream);
        }
    }

    /// The seconds that pass until each of so many fetches is over.
    async fn fetches(set: &KeySet, count: usize) -> Vec<u64> {
        let mut fetches = set.fetches.subscribe();
        let mut passed = Vec::new();
        for _ in 0..count {
            let began = Instant::now();
            fetches.changed().await.expect("it never ends");
            passed.push(began.elapsed().as_secs());
        }
        passed
    }

    #[tokio::test(start_paused = true)]
    async fn a_server_that_is_silent_is_asked_after_longer_and_longer_pauses() {
        beside(None, async |set| {
            let patience = PATIENCE.as_secs();
            let expected = [0, 1, 2, 4, 8, 16, 32, 60, 60].map(|pause| pause + patience);
            assert_eq!(fetches(&set, 9).await, expected);
            assert!(set.keys().await.is_none());
        })
        .await;
    }

    #[tokio::test(start_paused = true)]
    async fn keys_are_fetched_from_time_to_time_and_for_strangers_seldom() {
        beside(Some(KEYS), async |set| {
            let refresh = REFRESH.as_secs();
            assert_eq!(fetches(&set, 3).await, [0, refresh, refresh]);
            let known = set.keys().await.expect("keys");
            let asked = *set.fetches.borrow();
            for _ in 0..5 {
                let began = Instant::now();
                let again = set.refetched().await.expect("keys");
                assert!(Arc::ptr_eq(&known, &again), "the same stay the same");
                assert!(began.elapsed() < WAIT, "nobody waits for what does not come");
            }
            assert_eq!(*set.fetches.borrow(), asked + 1);
            tokio::time::advance(WANTED_EVERY).await;
            set.refetched().await;
            assert_eq!(*set.fetches.borrow(), asked + 2);
        })
        .await;
    }
}
