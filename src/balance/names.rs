//! The addresses that the names of servers lead to, looked up beside requests.

use std::net::SocketAddr as InetAddr;
use std::sync::Arc;
use std::time::Duration;
use std::{fmt, io};

use futures::future::BoxFuture;
use futures::{FutureExt, StreamExt, stream};
use log::{info, warn};
use tokio::net::lookup_host;
use tokio::time::timeout;

use super::entry::Entry;

/// The time between two look-ups of all names.
pub(super) const PERIOD: Duration = Duration::from_secs(30);
/// The longest wait for one answer.
const PATIENCE: Duration = Duration::from_secs(5);
/// Names looked up at the same time.
const AT_ONCE: usize = 8;

/// What a look-up of one entry's name brought.
pub(super) type Answer = io::Result<Vec<InetAddr>>;

/// The addresses of every entry; those of entries without a name stay empty.
#[derive(Debug)]
pub(super) struct Found(Vec<Addresses>);

#[derive(Debug, Clone, Default)]
struct Addresses {
    /// The last good answer, in order.
    list: Vec<InetAddr>,
    is_failing: bool,
}

impl Found {
    /// Nothing yet, but for names that the `previous` pool had found.
    pub(super) fn new(entries: &[Entry], previous: Option<(&[Entry], &Found)>) -> Self {
        let known = |entry: &Entry| {
            let (old, found) = previous?;
            let wanted = Some(entry.to_resolve()?);
            let at = old.iter().position(|old| old.to_resolve() == wanted)?;
            found.0.get(at).cloned()
        };
        Found(entries.iter().map(|entry| known(entry).unwrap_or_default()).collect())
    }

    pub(super) fn addresses(&self, index: usize) -> &[InetAddr] {
        self.0.get(index).map_or(&[], |addresses| &addresses.list)
    }

    /// Takes in the answer for an entry; a bad one leaves the last good one.
    pub(super) fn settle(&mut self, pool: &str, index: usize, entry: &Entry, answer: Answer) {
        let Some(addresses) = self.0.get_mut(index) else { return };
        let answer = answer.and_then(|list| match list.is_empty() {
            true => Err(io::Error::other("it has no address")),
            false => Ok(list),
        });
        match answer {
            Ok(mut list) => {
                // Answers rotate; only a change of the set is a change.
                list.sort_unstable();
                list.dedup();
                addresses.list = list;
                if std::mem::take(&mut addresses.is_failing) {
                    info!("{pool}: {} is found again", entry.name);
                }
            }
            Err(error) if !std::mem::replace(&mut addresses.is_failing, true) => {
                let now = match addresses.list.is_empty() {
                    true => "no server for it",
                    false => "its last addresses stay",
                };
                warn!("{pool}: {} is not found: {error}; {now}", entry.name);
            }
            Err(_) => {}
        }
    }
}

/// Who is asked for the addresses of a name.
#[derive(Clone)]
pub(super) struct Resolver(Arc<AskName>);

type AskName = dyn Fn(String, u16) -> BoxFuture<'static, Answer> + Send + Sync;

impl Resolver {
    pub(super) fn new(
        ask: impl Fn(String, u16) -> BoxFuture<'static, Answer> + Send + Sync + 'static,
    ) -> Self {
        Resolver(Arc::new(ask))
    }

    /// The system: its files and its name servers.
    pub(super) fn system() -> Self {
        Resolver::new(|name, port| {
            async move { lookup_host((name.as_str(), port)).await.map(Iterator::collect) }.boxed()
        })
    }

    /// Looks up every name; gives the index of its entry with each answer.
    pub(super) async fn look_up(&self, entries: &[Entry]) -> Vec<(usize, Answer)> {
        let mut names = Vec::new();
        for (index, entry) in entries.iter().enumerate() {
            if let Some((name, port)) = entry.to_resolve() {
                names.push(self.look_up_one(index, name.to_owned(), port));
            }
        }
        stream::iter(names).buffer_unordered(AT_ONCE).collect().await
    }

    async fn look_up_one(&self, index: usize, name: String, port: u16) -> (usize, Answer) {
        let answer = timeout(PATIENCE, (self.0)(name, port)).await;
        let late = || io::Error::new(io::ErrorKind::TimedOut, "no answer in time");
        (index, answer.unwrap_or_else(|_| Err(late())))
    }
}

impl fmt::Debug for Resolver {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Resolver")
    }
}
