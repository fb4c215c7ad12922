//! Who may ask what of a route.

mod methods;
mod networks;
