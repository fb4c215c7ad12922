//! Verifies passwords beside requests: few at a time, and each only once in a while.
//!
//! A hash is made to be slow, so whoever sends guesses would take every core
//! and every worker. Those who have signed in before do not wait for guessers.

use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use tokio::task::spawn_blocking;
use tokio::time::{Instant, timeout};

use super::remembered::{Remembered, Tag, Tagger};
use super::turns::{Bounds, Turns};
use super::users::Found;
use crate::networks::ClientKey;

/// How long right and wrong passwords are remembered. Right ones end with the
/// hash that they were verified by.
const RIGHT_FOR: Duration = Duration::from_secs(10 * 60);
const WRONG_FOR: Duration = Duration::from_secs(60);
/// How many of each; a tag and its place take some 100 bytes.
const MOST_REMEMBERED: usize = 16_384;
/// Who may wait for a turn, in all and of one client.
const MOST_WAITING: usize = 64;
const MOST_OF_CLIENT: usize = 16;
/// The longest wait for a turn.
const PATIENCE: Duration = Duration::from_secs(5);
/// How often the log says that passwords cannot be verified.
const SAID_EVERY: Duration = Duration::from_secs(60);

/// What a password turned out to be.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Verdict {
    Right,
    Wrong,
}

/// Why it is not known what a password is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Unknown {
    /// Too many are waiting to be verified.
    Busy,
    /// It cannot be verified; the log says why.
    Unverifiable,
}

/// The verifier of a process; one for all routes, kept over reloads.
#[derive(Debug)]
pub(crate) struct Passwords {
    tagger: Tagger,
    verdicts: Arc<Verdicts>,
    turns: Turns,
}

/// What passwords turned out to be.
#[derive(Debug)]
struct Verdicts {
    right: Remembered<()>,
    wrong: Remembered<()>,
    // When it was last said that one could not be found out.
    said: Mutex<Option<Instant>>,
}

/// Who wants to sign in, from where, and how.
#[derive(Clone, Copy)]
pub(super) struct Claim<'a> {
    pub(super) client: ClientKey,
    pub(super) name: &'a str,
    pub(super) password: &'a [u8],
}

impl Default for Passwords {
    fn default() -> Self {
        // Half of the cores, for the other half has requests to serve.
        let cores = std::thread::available_parallelism().map_or(1, usize::from);
        Passwords::new((cores / 2).max(1))
    }
}

impl Passwords {
    /// Verifies so many at the same time.
    fn new(at_once: usize) -> Self {
        Passwords {
            tagger: Tagger::new(),
            verdicts: Arc::new(Verdicts {
                right: Remembered::new(MOST_REMEMBERED, RIGHT_FOR),
                wrong: Remembered::new(MOST_REMEMBERED, WRONG_FOR),
                said: Mutex::new(None),
            }),
            turns: Turns::new(Bounds {
                at_once,
                of_client: at_once.div_ceil(2),
                waiting: MOST_WAITING,
                waiting_of_client: MOST_OF_CLIENT,
            }),
        }
    }

    /// Whether the password is that of the user found.
    ///
    /// A name without a user takes as long as that of some user.
    pub(super) async fn verify(
        &self,
        claim: Claim<'_>,
        found: Found<'_>,
    ) -> Result<Verdict, Unknown> {
        let user = if found.is_known { &b"user"[..] } else { b"nobody" };
        let hash = found.hash.text().as_bytes();
        let tag = self.tagger.tag(&[user, claim.name.as_bytes(), hash, claim.password]);
        if let Some(verdict) = self.verdicts.recall(&tag) {
            return Ok(verdict);
        }
        let turn = timeout(PATIENCE, self.turns.take(claim.client)).await;
        let Ok(Ok(turn)) = turn else {
            return Err(Unknown::Busy);
        };
        // A page brings many requests at once, all with the same password.
        if let Some(verdict) = self.verdicts.recall(&tag) {
            return Ok(verdict);
        }
        let (hash, password) = (found.hash.clone(), claim.password.to_vec());
        let (verdicts, is_known) = (self.verdicts.clone(), found.is_known);
        // The turn goes along: it is not over when a client gives up, who finds the
        // verdict when it comes back.
        let verified = spawn_blocking(move || {
            let is_right = hash.verify(&password);
            let verdict = is_right.map(|is_right| verdicts.note(tag, is_right && is_known));
            drop(turn);
            verdict
        });
        let why = match verified.await {
            Ok(Ok(verdict)) => return Ok(verdict),
            Ok(Err(unverifiable)) => unverifiable.to_string(),
            Err(broken) => broken.to_string(),
        };
        self.verdicts.say(&why);
        Err(Unknown::Unverifiable)
    }
}

impl Verdicts {
    fn recall(&self, tag: &Tag) -> Option<Verdict> {
        let right = self.right.find(tag).map(|()| Verdict::Right);
        right.or_else(|| self.wrong.find(tag).map(|()| Verdict::Wrong))
    }

    fn note(&self, tag: Tag, is_right: bool) -> Verdict {
        let (verdict, known) = match is_right {
            true => (Verdict::Right, &self.right),
            false => (Verdict::Wrong, &self.wrong),
        };
        known.note(tag, ());
        verdict
    }

    /// Logs why a password could not be verified, however many there are.
    fn say(&self, why: &str) {
        let mut said = self.said.lock().unwrap_or_else(PoisonError::into_inner);
        if said.is_none_or(|said| said.elapsed() >= SAID_EVERY) {
            *said = Some(Instant::now());
            ::log::error!("a password cannot be verified: {why}");
        }
    }
}

#[cfg(test)]
mod tests {
    use std::net::IpAddr;

    use futures::future::join_all;

    use super::*;
    use crate::access::password::Hash;

    const TIDE: &str = "$2y$04$N9qo8uLOickgx2ZMRZoMye5LxIOdmkBZduNc1HRtuvNL00ocRV0le";

    fn client(last: u8) -> ClientKey {
        ClientKey::from(IpAddr::from([192, 0, 2, last]))
    }

    fn claim(last: u8, password: &str) -> Claim<'_> {
        Claim { client: client(last), name: "ann", password: password.as_bytes() }
    }

    async fn verify(passwords: &Passwords, claim: Claim<'_>, hash: &Arc<Hash>) -> Option<Verdict> {
        passwords.verify(claim, Found { hash, is_known: true }).await.ok()
    }

    fn tide() -> Arc<Hash> {
        Arc::new(Hash::read(TIDE).expect("a hash"))
    }

    #[tokio::test]
    async fn the_right_password_of_a_user_and_nothing_else_signs_in() {
        let (passwords, hash) = (Passwords::new(1), tide());
        // Twice: the second time from memory.
        for _ in 0..2 {
            assert_eq!(verify(&passwords, claim(1, "tide"), &hash).await, Some(Verdict::Right));
            assert_eq!(verify(&passwords, claim(1, "Tide"), &hash).await, Some(Verdict::Wrong));
            let nobody = Found { hash: &hash, is_known: false };
            let verdict = passwords.verify(claim(1, "tide"), nobody).await;
            assert_eq!(verdict, Ok(Verdict::Wrong), "the decoy's own password");
        }
    }

    #[tokio::test]
    async fn what_is_remembered_needs_no_turn_and_ends_with_its_hash() {
        let (passwords, hash) = (Passwords::new(1), tide());
        verify(&passwords, claim(1, "tide"), &hash).await;
        verify(&passwords, claim(1, "Tide"), &hash).await;
        let _all = passwords.turns.take(client(9)).await.expect("a turn");
        assert_eq!(verify(&passwords, claim(2, "tide"), &hash).await, Some(Verdict::Right));
        assert_eq!(verify(&passwords, claim(2, "Tide"), &hash).await, Some(Verdict::Wrong));
        // A changed password: the old one is not taken from memory.
        let other = TIDE.replace("5LxIO", "5LxJO");
        let other = Arc::new(Hash::read(&other).expect("a hash"));
        tokio::time::pause();
        assert_eq!(verify(&passwords, claim(1, "tide"), &other).await, None, "waits in vain");
    }

    #[tokio::test]
    async fn what_is_remembered_tells_no_name_that_there_is_from_others() {
        let (passwords, hash) = (Passwords::new(1), tide());
        let nobody = |name| {
            let claim = Claim { client: client(1), name, password: b"tide" };
            passwords.verify(claim, Found { hash: &hash, is_known: false })
        };
        assert_eq!(nobody("bob").await, Ok(Verdict::Wrong));
        let _all = passwords.turns.take(client(9)).await.expect("a turn");
        assert_eq!(nobody("bob").await, Ok(Verdict::Wrong));
        tokio::time::pause();
        assert_eq!(nobody("eve").await, Err(Unknown::Busy), "as long as for a user");
    }

    #[tokio::test]
    async fn a_verdict_is_known_though_nobody_waited_for_it() {
        let (passwords, hash) = (Passwords::new(1), tide());
        for (password, verdict) in [("tide", Verdict::Right), ("Tide", Verdict::Wrong)] {
            let mut asked = Box::pin(verify(&passwords, claim(1, password), &hash));
            // It is asked once; whether that is pending depends on how fast it is verified.
            let _pending: std::task::Poll<_> = futures::poll!(&mut asked);
            drop(asked);
            // The one turn is free once it has been verified.
            let _all = passwords.turns.take(client(9)).await.expect("a turn");
            assert_eq!(verify(&passwords, claim(1, password), &hash).await, Some(verdict));
        }
    }

    #[tokio::test]
    async fn what_cannot_be_verified_is_neither_right_nor_wrong_nor_noted() {
        let (passwords, hash) = (Passwords::new(1), Arc::new(Hash::unverifiable()));
        for _ in 0..3 {
            let found = Found { hash: &hash, is_known: true };
            let verdict = passwords.verify(claim(1, "tide"), found).await;
            assert_eq!(verdict, Err(Unknown::Unverifiable));
        }
        let said = *passwords.verdicts.said.lock().expect("whole");
        assert!(said.is_some_and(|said| said.elapsed() < SAID_EVERY));
        timeout(PATIENCE, passwords.turns.take(client(9)))
            .await
            .expect("in time")
            .expect("every turn is given back");
    }

    #[tokio::test]
    async fn nothing_is_remembered_for_long() {
        let (passwords, hash) = (Passwords::new(1), tide());
        for password in ["tide", "Tide"] {
            verify(&passwords, claim(1, password), &hash).await;
        }
        let _all = passwords.turns.take(client(9)).await.expect("a turn");
        tokio::time::pause();
        for (password, verdict, lasts) in
            [("Tide", Verdict::Wrong, WRONG_FOR), ("tide", Verdict::Right, RIGHT_FOR - WRONG_FOR)]
        {
            tokio::time::advance(lasts - 2 * PATIENCE).await;
            assert_eq!(verify(&passwords, claim(1, password), &hash).await, Some(verdict));
            tokio::time::advance(2 * PATIENCE).await;
            assert_eq!(verify(&passwords, claim(1, password), &hash).await, None, "{password}");
        }
    }

    #[tokio::test(start_paused = true)]
    async fn guessers_wait_in_bounds_in_all_and_for_each_client() {
        let (passwords, hash) = (Passwords::new(1), tide());
        let _all = passwords.turns.take(client(9)).await.expect("a turn");
        let guesses: Vec<String> = (0..100).map(|guess| guess.to_string()).collect();
        let (passwords, hash) = (&passwords, &hash);
        let of_client = |last| {
            let claims = guesses.iter().map(move |guess| claim(last, guess));
            join_all(claims.map(|claim| async move {
                let start = Instant::now();
                let verdict = verify(passwords, claim, hash).await;
                (verdict, start.elapsed())
            }))
        };
        let asked = join_all((0..10).map(of_client)).await;
        let waited = |asked: &Vec<(Option<Verdict>, Duration)>| {
            assert!(asked.iter().all(|(verdict, _)| verdict.is_none()));
            assert!(asked.iter().all(|(_, waited)| waited.is_zero() || *waited == PATIENCE));
            asked.iter().filter(|(_, waited)| !waited.is_zero()).count()
        };
        let waited: Vec<usize> = asked.iter().map(waited).collect();
        // Each of the first four has given a seat to one of the last six.
        assert_eq!(waited.iter().max(), Some(&(MOST_OF_CLIENT - 1)));
        assert_eq!(waited.iter().sum::<usize>(), MOST_WAITING);
        assert!(waited.iter().all(|waited| *waited > 0), "{waited:?}");
    }

    #[tokio::test(start_paused = true)]
    async fn who_comes_last_waits_for_one_guess_of_each_other_client() {
        let (passwords, hash) = (Passwords::new(1), tide());
        let turn = passwords.turns.take(client(9)).await.expect("a turn");
        let guesses: Vec<String> = (0..16).map(|guess| guess.to_string()).collect();
        let order = Mutex::new(Vec::new());
        let all = guesses.iter().map(|guess| claim(1, guess)).chain([claim(2, "tide")]);
        let (known, done) = (&passwords, &order);
        let verified = join_all(all.map(|claim| {
            let hash = hash.clone();
            async move {
                let verdict = verify(known, claim, &hash).await;
                done.lock().expect("whole").push(verdict);
            }
        }));
        tokio::join!(verified, async { drop(turn) });
        let order = order.into_inner().expect("whole");
        let place = order.iter().position(|verdict| *verdict == Some(Verdict::Right));
        assert!(place.is_some_and(|place| place <= 2), "{order:?}");
    }
}
