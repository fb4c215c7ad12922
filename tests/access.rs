//! Who may ask what of a route.

mod basic;
mod browser;
mod challenge;
mod cors;
mod forward;
mod jwt;
mod lists;
mod methods;
mod networks;
mod places;
mod referers;
mod signed;
mod signer;
mod user_agents;
