//! Answers without the server: what is stored, for whom, and how long.
//!
//! `policy` decides by the standards, `key` says which requests are one, and a
//! [`Profile`] says what routes want of both. A [`Vault`] keeps it, in the way
//! that pingora asks for it. When any of that is asked is for the conductor.

mod target;
mod policy;
mod key;
mod place;
mod slices;
mod news;
mod next;
mod config;
mod profile;
mod meta;
mod passes;
mod searches;
mod storage;
mod objects;
mod open;
#[cfg(any(test, fuzzing))]
mod any_bytes;

#[cfg(any(test, fuzzing))]
pub(crate) use self::any_bytes::exchange;
pub(crate) use self::config::{Config, Named, STANDARD};
pub(crate) use self::meta::{Head as StoredHead, Seen, Storable, seen, storable};
pub(crate) use self::news::Asking;
pub(crate) use self::objects::Object;
pub(crate) use self::passes::LASTING;
pub(crate) use self::place::Place;
pub(crate) use self::policy::conditional::{Needed, Stored};
pub(crate) use self::policy::directives::Wishes;
pub(crate) use self::policy::encodings::simplify;
pub(crate) use self::policy::groups::{invalidated, label_of_searches, label_of_tag, labels};
pub(crate) use self::policy::invalidate::{changes, worthless};
pub(crate) use self::policy::merge::refreshed;
pub(crate) use self::policy::no_vary_search::Search;
pub(crate) use self::policy::rules::Clients;
pub(crate) use self::policy::status::{CacheStatus, Forward, Source};
pub(crate) use self::policy::storable::Unstored;
pub(crate) use self::policy::strip::{
    Shown, before_sending, before_storing, for_not_modified, for_part,
};
pub(crate) use self::policy::terms::{Answer, Failure, Terms, Use, judge};
pub(crate) use self::policy::validate::{
    Head as HeadSays, ask_about, ask_for_all, by_head, is_about, make_anonymous, make_literal,
};
pub(crate) use self::policy::vary::variant;
pub(crate) use self::profile::Profile;
pub(crate) use self::searches::Named as NamedBy;
pub(crate) use self::slices::{Cut, Progress, Slice, Told, around, brought, version};
pub(crate) use self::storage::{LOCK_AGE, Looked, Room, Vault, now};
pub(crate) use self::target::{Scheme, Target};
pub(crate) use tidegate_store::Moment;
