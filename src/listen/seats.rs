//! How many connections there may be, in all and from one client network; and
//! who has to leave when there is no seat for another.
//!
//! Connections cost a stranger nothing, so they must not keep out who comes for
//! something: one that has asked for nothing makes room for any other, one that
//! rests between requests for a client that was served lately, and the last
//! seats are for those clients. A request under way is never cut.

mod known;
mod place;
mod recent;
mod resets;

use std::cmp::Reverse;
use std::collections::HashMap;
use std::net::IpAddr;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use tokio::sync::Notify;
use tokio::time::Instant;

use super::complaint::Complaint;
use crate::networks::ClientKey;

use self::known::Known;
use self::place::{Doing, Place};
use self::resets::Resets;

/// The caps on connections.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Bounds {
    pub(crate) connections: usize,
    pub(crate) per_client: usize,
}

/// One seat in so many is for clients that were served lately.
const KEPT: usize = 10;
/// Connections that may be on their way out, or as many as are kept.
const LEAVING: usize = 1024;
/// How long a client may take to close after it was told to go away.
pub(super) const GOODBYE: Duration = Duration::from_secs(5);
/// Connections that are looked at for one that may leave; a bound on what a
/// refusal costs.
const LOOKED_AT: usize = 64;

/// Who connects.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Who {
    /// One client.
    Client,
    /// A trusted proxy, which brings many.
    Proxy,
}

/// Whether a client was served lately.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum Standing {
    Stranger,
    Known,
}

/// Which cap is reached.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Full {
    /// That of all connections.
    All,
    /// That of one client's.
    Client,
}

/// The seats of all listeners; every open connection holds one.
#[derive(Debug)]
pub(crate) struct Seats {
    bounds: Bounds,
    // Of those that were asked to leave as well, until they are gone.
    taken: AtomicUsize,
    table: Mutex<Table>,
    empty: Notify,
    complaints: [Complaint; 2],
}

/// Who sits where.
#[derive(Debug)]
struct Table {
    // But those that were asked to leave.
    places: Vec<Arc<Place>>,
    // Where in `places` to look next.
    next: usize,
    // Those that were asked to leave, and are not gone yet.
    leaving: usize,
    // Of both. Invariant: no entry is 0.
    per_client: HashMap<ClientKey, usize>,
    known: Known,
    resets: Resets,
}

impl Seats {
    pub(crate) fn new(bounds: Bounds) -> Arc<Self> {
        let table = Table {
            places: Vec::new(),
            next: 0,
            leaving: 0,
            per_client: HashMap::new(),
            known: Known::new(),
            resets: Resets::new(),
        };
        Arc::new(Seats {
            bounds,
            taken: AtomicUsize::new(0),
            table: Mutex::new(table),
            empty: Notify::new(),
            complaints: Default::default(),
        })
    }

    pub(crate) fn taken(&self) -> usize {
        self.taken.load(Ordering::Acquire)
    }

    /// Returns once no connection is open.
    pub(crate) async fn all_free(&self) {
        loop {
            let mut emptied = std::pin::pin!(self.empty.notified());
            emptied.as_mut().enable();
            if self.taken() == 0 {
                return;
            }
            emptied.await;
        }
    }

    /// A seat for a connection from `peer`, unless a cap is reached.
    ///
    /// A proxy counts in all, but not per client.
    pub(super) fn take(self: &Arc<Self>, peer: IpAddr, who: Who) -> Result<Seat, Full> {
        let client = (who == Who::Client).then(|| ClientKey::from(peer));
        let mut table = self.table();
        if client.is_some_and(|client| table.held_by(client) >= self.bounds.per_client) {
            return Err(Full::Client);
        }
        let standing = client.map_or(Standing::Known, |client| table.standing(client));
        let kept = match standing {
            Standing::Known => 0,
            Standing::Stranger => self.bounds.connections / KEPT,
        };
        let is_full = table.places.len() >= self.bounds.connections - kept;
        // Who has to leave needs a moment, and has a descriptor until then.
        let is_crowded = table.leaving >= LEAVING.max(self.bounds.connections / KEPT);
        if is_full && (is_crowded || !table.make_room(client, standing)) {
            return Err(Full::All);
        }
        let place = Arc::new(Place::new(client));
        table.sit(place.clone());
        self.taken.fetch_add(1, Ordering::AcqRel);
        let is_noted = AtomicBool::new(false);
        Ok(Seat { seats: self.clone(), place, is_noted, made_room: is_full })
    }

    /// Says in the log that `peer` found no seat, or only counts it: an attack
    /// is no reason to fill a disk.
    pub(super) fn complain(&self, full: Full, peer: IpAddr) {
        let Some(refused) = self.complaints[full as usize].say() else {
            return;
        };
        match full {
            Full::All => ::log::warn!(
                "{refused} connections refused: server.connections ({}) are taken, or all but \
                 the tenth that is kept for clients that were served lately",
                self.bounds.connections
            ),
            Full::Client => ::log::warn!(
                "{refused} connections refused, the last of {peer}: its network has as many \
                 open as server.connections_per_client ({})",
                self.bounds.per_client
            ),
        }
    }

    fn leave(&self, place: &Arc<Place>) {
        self.table().gone(place);
        if self.taken.fetch_sub(1, Ordering::AcqRel) == 1 {
            self.empty.notify_waiters();
        }
    }

    fn table(&self) -> MutexGuard<'_, Table> {
        self.table.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Table {
    fn standing(&mut self, client: ClientKey) -> Standing {
        if self.known.has(client) { Standing::Known } else { Standing::Stranger }
    }

    fn held_by(&self, client: ClientKey) -> usize {
        self.per_client.get(&client).copied().unwrap_or(0)
    }

    fn sit(&mut self, place: Arc<Place>) {
        if let Some(client) = place.client() {
            *self.per_client.entry(client).or_insert(0) += 1;
        }
        place.sits_at(self.places.len());
        self.places.push(place);
    }

    fn count(&mut self, client: ClientKey) {
        *self.per_client.entry(client).or_insert(0) += 1;
    }

    fn stand_up(&mut self, place: &Place) {
        let at = place.at();
        self.places.swap_remove(at);
        if let Some(moved) = self.places.get(at) {
            moved.sits_at(at);
        }
    }

    fn gone(&mut self, place: &Place) {
        if place.doing().0 == Doing::Leaving {
            self.leaving -= 1;
        } else {
            self.stand_up(place);
        }
        if let Some(client) = place.client()
            && let Some(count) = self.per_client.get_mut(&client)
        {
            *count -= 1;
            if *count == 0 {
                self.per_client.remove(&client);
            }
        }
    }

    /// Asks one to leave for `client`: of those that were never served, or for
    /// a client that was lately, of those that rest; of strangers before others,
    /// and of whom holds the most seats, the one that has done nothing for longest.
    fn make_room(&mut self, client: Option<ClientKey>, standing: Standing) -> bool {
        let looked_at = self.places.len().min(LOOKED_AT);
        let held = client.map_or(0, |client| self.held_by(client));
        let mut found: Option<(Rank, Arc<Place>)> = None;
        for _ in 0..looked_at {
            self.next = (self.next + 1) % self.places.len();
            let Some(place) = self.places.get(self.next).cloned() else { continue };
            let (doing, since) = place.doing();
            let holds = place.client().map_or(0, |client| self.held_by(client));
            let may_leave = match doing {
                Doing::Beginning => true,
                // Nobody takes from who holds less.
                Doing::Resting => standing == Standing::Known && holds >= held,
                Doing::Asking | Doing::Leaving => false,
            };
            let whose = place.client().map_or(Standing::Known, |client| self.standing(client));
            let rank = (doing, whose, Reverse(holds), since);
            if may_leave && found.as_ref().is_none_or(|(best, _)| rank < *best) {
                found = Some((rank, place));
            }
        }
        let Some(((doing, ..), place)) = found else { return false };
        // It may have begun to ask meanwhile.
        let leaves = place.leave(doing);
        if leaves {
            self.stand_up(&place);
            self.leaving += 1;
        }
        leaves
    }
}

/// Who leaves first.
type Rank = (Doing, Standing, Reverse<usize>, Instant);

/// The right of one connection to be open.
#[derive(Debug)]
pub(super) struct Seat {
    seats: Arc<Seats>,
    place: Arc<Place>,
    is_noted: AtomicBool,
    made_room: bool,
}

impl Seat {
    /// Whether another connection was asked to leave for this one.
    pub(super) fn made_room(&self) -> bool {
        self.made_room
    }

    /// The proxy that connects does so for `peer` alone, which counts from now
    /// on as if it came by itself.
    pub(super) fn announce(&self, peer: IpAddr) -> Result<(), Full> {
        let client = ClientKey::from(peer);
        let mut table = self.seats.table();
        if table.held_by(client) >= self.seats.bounds.per_client {
            return Err(Full::Client);
        }
        if self.place.belongs_to(client) {
            table.count(client);
        }
        Ok(())
    }

    /// Says in the log that a client found no seat.
    pub(super) fn complain(&self, full: Full, client: IpAddr) {
        self.seats.complain(full, client);
    }

    /// Whether its client was served lately; a proxy is no stranger either.
    pub(super) fn is_known(&self) -> bool {
        let client = self.place.client();
        client.is_none_or(|client| self.seats.table().known.has(client))
    }

    /// Whether the connection is one client's alone.
    pub(super) fn is_of_one_client(&self) -> bool {
        self.place.client().is_some()
    }

    /// A request is under way; false if the seat is somebody else's by now.
    pub(super) fn ask(&self) -> bool {
        self.place.ask()
    }

    /// No request is under way any more.
    pub(super) fn rest(&self) {
        self.place.rest();
    }

    /// The client was served well.
    pub(super) fn note_served(&self) {
        if let Some(client) = self.place.client()
            && !self.is_noted.swap(true, Ordering::AcqRel)
        {
            self.seats.table().known.note(client);
        }
    }

    /// Whether the client may reset so many more streams, over all connections
    /// that it has and had, where one may reset `per_minute`.
    pub(super) fn may_reset(&self, count: u32, per_minute: u32) -> bool {
        let Some(client) = self.place.client() else { return true };
        self.seats.table().resets.allow(client, count, per_minute)
    }

    /// Who holds the seat says so to its client when it has to leave.
    pub(super) fn takes_leave(&self) {
        self.place.takes_leave();
    }

    /// Returns once the seat is somebody else's.
    pub(super) async fn left(&self) {
        self.place.left().await;
    }

    /// Returns once the seat is somebody else's, and there was time to say so.
    pub(super) fn lost(&self) -> impl Future<Output = ()> + Send + 'static {
        let place = self.place.clone();
        async move { place.gone(GOODBYE).await }
    }
}

impl Drop for Seat {
    fn drop(&mut self) {
        if let Some(client) = self.place.client().filter(|_| *self.is_noted.get_mut()) {
            // Since its connection was long, it may be forgotten by now.
            self.seats.table().known.note(client);
        }
        self.seats.leave(&self.place);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn seats(connections: usize, per_client: usize) -> Arc<Seats> {
        Seats::new(Bounds { connections, per_client })
    }

    fn ip(text: &str) -> IpAddr {
        text.parse().expect("an address")
    }

    #[test]
    fn refuses_over_the_cap_of_all() {
        let seats = seats(2, 9);
        let first = take(&seats, "192.0.2.1");
        let second = take(&seats, "192.0.2.2");
        assert!(first.ask() && second.ask());
        assert_eq!(seats.take(ip("192.0.2.3"), Who::Client).unwrap_err(), Full::All);
        drop(first);
        assert!(seats.take(ip("192.0.2.3"), Who::Client).is_ok());
    }

    #[test]
    fn refuses_over_the_cap_of_one_client_but_not_of_others() {
        let seats = seats(9, 1);
        let _held = seats.take(ip("2001:db8::1"), Who::Client).expect("a seat");
        let same = seats.take(ip("2001:db8::ffff"), Who::Client);
        assert_eq!(same.unwrap_err(), Full::Client, "the same /64");
        assert!(seats.take(ip("2001:db8:0:1::1"), Who::Client).is_ok(), "another /64");
        assert_eq!(seats.taken(), 1);
    }

    #[test]
    fn trusted_proxies_are_exempt_per_client() {
        let seats = seats(9, 1);
        let held: Vec<_> = (0..3).map(|_| seats.take(ip("10.0.0.1"), Who::Proxy)).collect();
        assert!(held.iter().all(Result::is_ok));
    }

    #[test]
    fn forgets_clients_that_left() {
        let seats = seats(9, 1);
        drop(seats.take(ip("192.0.2.1"), Who::Client));
        assert!(seats.table().per_client.is_empty());
        assert_eq!(seats.taken(), 0);
    }

    /// Whether a seat has been taken away.
    fn is_lost(seat: &Seat) -> bool {
        futures::FutureExt::now_or_never(seat.lost()).is_some()
    }

    #[track_caller]
    fn take(seats: &Arc<Seats>, address: &str) -> Seat {
        seats.take(ip(address), Who::Client).expect("a seat")
    }

    /// A client that was served, and rests.
    #[track_caller]
    fn served(seats: &Arc<Seats>, address: &str) -> Seat {
        let seat = take(seats, address);
        assert!(seat.ask());
        seat.note_served();
        seat.rest();
        seat
    }

    #[test]
    fn who_asked_for_nothing_makes_room_and_who_asks_does_not() {
        let seats = seats(3, 9);
        let asking = take(&seats, "192.0.2.1");
        assert!(asking.ask());
        let resting = served(&seats, "192.0.2.2");
        let idle = take(&seats, "192.0.2.3");
        let newcomer = take(&seats, "192.0.2.4");
        assert!(is_lost(&idle) && !is_lost(&asking) && !is_lost(&resting));
        assert!(!idle.ask(), "too late");
        idle.rest();
        assert!(!idle.ask(), "it stays so");
        assert_eq!(seats.taken(), 4, "until it is gone");
        assert!(newcomer.ask());
        assert_eq!(seats.take(ip("192.0.2.5"), Who::Client).unwrap_err(), Full::All);
        drop(idle);
        assert_eq!(seats.taken(), 3);
        // A client that was served lately takes a seat of who rests.
        let again = take(&seats, "192.0.2.2");
        assert!(is_lost(&resting) && again.ask());
        drop(resting);
        assert_eq!(seats.take(ip("192.0.2.2"), Who::Client).unwrap_err(), Full::All);
    }

    #[test]
    fn those_who_have_to_leave_are_not_many() {
        let seats = seats(2000, 9999);
        // But for those that are kept.
        let idle: Vec<_> = (0..1800).map(|_| take(&seats, "192.0.2.1")).collect();
        let of = |nth: usize| format!("198.51.{}.{}", nth / 256, nth % 256);
        let newcomers: Vec<_> = (0..LEAVING).map(|nth| take(&seats, &of(nth))).collect();
        assert_eq!(idle.iter().filter(|seat| is_lost(seat)).count(), LEAVING);
        assert_eq!(seats.take(ip("192.0.2.2"), Who::Client).unwrap_err(), Full::All);
        drop((idle, newcomers));
        assert_eq!(seats.taken(), 0);
    }

    #[test]
    fn a_seat_that_a_proxy_took_for_one_client_is_that_clients() {
        let seats = seats(9, 1);
        let take = || seats.take(ip("10.0.0.1"), Who::Proxy).expect("a seat");
        let (first, second) = (take(), take());
        assert!(!first.is_of_one_client());
        assert_eq!(first.announce(ip("192.0.2.1")), Ok(()));
        assert!(first.is_of_one_client());
        assert_eq!(second.announce(ip("192.0.2.1")), Err(Full::Client));
        assert_eq!(seats.take(ip("192.0.2.1"), Who::Client).unwrap_err(), Full::Client);
        drop(first);
        assert_eq!(second.announce(ip("192.0.2.1")), Ok(()));
        drop(second);
        assert!(seats.table().per_client.is_empty());
    }

    #[test]
    fn who_holds_the_most_makes_room_first_and_of_them_the_longest_idle() {
        let seats = seats(5, 9);
        let _alone = take(&seats, "192.0.2.1");
        let greedy = [(); 4].map(|()| take(&seats, "192.0.2.2"));
        let _newcomer = take(&seats, "192.0.2.3");
        assert_eq!(greedy.iter().map(is_lost).filter(|lost| *lost).count(), 1);
    }

    #[test]
    fn strangers_make_room_before_clients_that_were_served() {
        let seats = seats(20, 9);
        drop(served(&seats, "192.0.2.1"));
        let known = [(); 4].map(|()| take(&seats, "192.0.2.1"));
        let of = |nth: usize| take(&seats, &format!("192.0.2.{nth}"));
        let _strangers: Vec<_> = (2..16).map(of).collect();
        let _newcomers: Vec<_> = (20..34).map(of).collect();
        assert!(!known.iter().any(is_lost));
    }

    #[test]
    fn nobody_takes_from_who_holds_less() {
        let seats = seats(4, 9);
        let few = served(&seats, "192.0.2.1");
        let many = [(); 3].map(|()| served(&seats, "192.0.2.2"));
        let one_more = take(&seats, "192.0.2.2");
        assert!(!is_lost(&few) && one_more.ask());
        assert_eq!(many.iter().map(is_lost).filter(|lost| *lost).count(), 1);
    }

    #[test]
    fn nobody_leaves_for_who_holds_more_even_if_nobody_else_rests() {
        let seats = seats(4, 9);
        let few = served(&seats, "192.0.2.1");
        let many = [(); 3].map(|()| served(&seats, "192.0.2.2"));
        assert!(many.iter().all(Seat::ask));
        assert_eq!(seats.take(ip("192.0.2.2"), Who::Client).unwrap_err(), Full::All);
        assert!(!is_lost(&few));
    }

    #[test]
    fn who_was_asked_to_leave_holds_no_seat() {
        let seats = seats(3, 9);
        let busy = [(); 2].map(|()| take(&seats, "192.0.2.1"));
        assert!(busy.iter().all(Seat::ask));
        let idle = take(&seats, "192.0.2.2");
        let newcomer = take(&seats, "192.0.2.3");
        assert!(is_lost(&idle) && newcomer.made_room());
        drop(busy);
        let others = [(); 2].map(|()| take(&seats, "192.0.2.4"));
        assert!(!others.iter().any(Seat::made_room) && !is_lost(&newcomer));
    }

    #[test]
    fn few_are_looked_at_for_one_that_may_leave() {
        let seats = seats(101, 1);
        let come = || seats.take(ip("10.0.0.1"), Who::Proxy);
        let held: Vec<Seat> = (0..101).map(|_| come().expect("a seat")).collect();
        assert!(held.iter().take(100).all(Seat::ask));
        assert_eq!(come().unwrap_err(), Full::All, "the last one was not looked at");
        assert!(come().is_ok(), "now it was");
    }

    #[tokio::test(start_paused = true)]
    async fn who_was_served_is_known_from_when_it_left() {
        let seats = seats(10, 9);
        let seat = served(&seats, "192.0.2.1");
        tokio::time::advance(Duration::from_secs(24 * 3600)).await;
        let others: Vec<Seat> = (0..8).map(|_| take(&seats, "192.0.2.2")).collect();
        assert!(others.iter().all(Seat::ask));
        drop(seat);
        let again = [(); 2].map(|()| take(&seats, "192.0.2.1"));
        assert!(again.iter().all(Seat::ask), "the last seat is for those who are known");
    }

    #[test]
    fn the_last_seats_are_for_clients_that_were_served() {
        let seats = seats(20, 99);
        drop(served(&seats, "192.0.2.1"));
        let strangers: Vec<_> = (0..18).map(|_| take(&seats, "192.0.2.2")).collect();
        assert!(strangers.iter().all(Seat::ask));
        assert_eq!(seats.take(ip("192.0.2.3"), Who::Client).unwrap_err(), Full::All);
        let known = [(); 2].map(|()| take(&seats, "192.0.2.1"));
        assert!(known.iter().all(Seat::ask));
        assert_eq!(seats.take(ip("192.0.2.1"), Who::Client).unwrap_err(), Full::All);
    }
}
