//! What rules mean, on small texts: waf.md §3.2, point by point. Where ModSecurity's two engines
//! differ, the second's documentation counts.

mod exchange;
mod effects;
mod flow;
mod matches;
mod exclusions;
mod bodies;
mod settings;
mod evasion;
mod crs;
