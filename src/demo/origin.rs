//! A server for the demo: says who it is, is slow or fails where asked to.

use std::io::{BufRead, BufReader, Read, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::time::Duration;

use anyhow::Result;

/// Connections at the same time; more wait in the backlog.
const CONNECTIONS: usize = 16;
const SLOW: Duration = Duration::from_secs(2);
/// The proxy in front has smaller bounds; this one only keeps the demo honest.
const LONGEST_HEAD: u64 = 256 * 1024;

/// A server on loopback, on a port that the kernel picked.
pub(super) struct Origin {
    address: SocketAddr,
}

impl Origin {
    /// Starts the server; it runs as long as the process.
    #[expect(clippy::disallowed_methods, reason = "the demo's servers are no part of the proxy")]
    pub(super) fn start(name: &'static str) -> Result<Self> {
        let listener = TcpListener::bind("127.0.0.1:0")?;
        let address = listener.local_addr()?;
        for _ in 0..CONNECTIONS {
            let listener = listener.try_clone()?;
            std::thread::spawn(move || {
                for stream in listener.incoming().flatten() {
                    if let Err(error) = serve(stream, name) {
                        ::log::debug!("demo server {name}: {error}");
                    }
                }
            });
        }
        Ok(Origin { address })
    }

    pub(super) fn address(&self) -> SocketAddr {
        self.address
    }
}

/// Answers the requests of one connection until it ends.
fn serve(mut stream: TcpStream, name: &str) -> std::io::Result<()> {
    let mut reader = BufReader::new(stream.try_clone()?);
    while let Some(path) = read_path(&mut reader)? {
        let (status, body) = answer(&path, name);
        let head = format!(
            "HTTP/1.1 {status}\r\ncontent-type: text/html; charset=utf-8\r\ncontent-length: {}\r\n\r\n",
            body.len()
        );
        stream.write_all(head.as_bytes())?;
        stream.write_all(body.as_bytes())?;
    }
    Ok(())
}

/// The path of the next request; none at the end of the connection.
fn read_path(reader: &mut BufReader<TcpStream>) -> std::io::Result<Option<String>> {
    let mut path = None;
    let mut length = 0;
    let mut head = reader.take(LONGEST_HEAD);
    let mut line = String::new();
    loop {
        line.clear();
        if head.read_line(&mut line)? == 0 {
            return Ok(None);
        }
        let text = line.trim_end();
        if text.is_empty() {
            break;
        }
        if path.is_none() {
            path = text.split(' ').nth(1).map(str::to_owned);
        } else if let Some((name, value)) = text.split_once(':')
            && name.eq_ignore_ascii_case("content-length")
        {
            length = value.trim().parse().unwrap_or(0);
        }
    }
    std::io::copy(&mut reader.take(length), &mut std::io::sink())?;
    Ok(path)
}

fn answer(path: &str, name: &str) -> (&'static str, String) {
    let page = |text: &str| format!("<!doctype html><title>Tidegate demo</title><p>{text}\n");
    match path {
        "/healthz" => ("200 OK", "ok\n".to_owned()),
        "/flaky" if name == "one" => ("503 Service Unavailable", page("not today")),
        "/slow" => {
            pause(SLOW);
            ("200 OK", page(&format!("server {name}, after two seconds")))
        }
        _ => ("200 OK", page(&format!("server {name} answers"))),
    }
}

#[expect(clippy::disallowed_methods, reason = "a thread of the demo's own, not a worker")]
fn pause(time: Duration) {
    std::thread::sleep(time);
}
