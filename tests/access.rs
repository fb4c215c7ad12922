//! Who may ask what of a route.

mod basic;
mod forward;
mod jwt;
mod lists;
mod methods;
mod networks;
mod referers;
mod signer;
mod user_agents;
