//! Who may ask what of a route.

mod lists;
mod methods;
mod networks;
mod referers;
mod user_agents;
