//! All integration tests, as one binary: the real proxy between real clients
//! and servers, and the rules that the code is held to.
//!
//! Each file tests one subject; `support` starts the parts.

#![expect(clippy::unwrap_used, reason = "a test that cannot go on fails")]
#![expect(clippy::disallowed_methods, reason = "tests start origins and wait for processes")]

mod support;

mod access;
mod access_log;
mod admin;
mod answers;
mod balance;
mod cache;
mod cli;
mod compress;
mod conf;
mod connections;
mod differential;
mod error_log;
mod fields;
mod files;
mod forward;
mod grpc;
mod h2_servers;
mod health;
mod ipv6;
mod keep_alive;
mod limit;
mod listen;
mod preset;
mod reload;
mod replace;
mod retries;
mod route;
mod security_log;
mod shed;
mod shutdown;
mod smoke;
mod streams;
mod tidy;
mod tls;
mod traps;
mod upgrade;
mod uploads;
mod upstream_tls;
mod waf;
