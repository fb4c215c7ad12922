//! An HTTP/2 client that sends frames as it is told, sound or not.

use std::net::SocketAddr;

use super::Client;

/// Types, flags and codes of RFC 9113.
pub(crate) const DATA: u8 = 0x0;
pub(crate) const HEADERS: u8 = 0x1;
pub(crate) const RST_STREAM: u8 = 0x3;
pub(crate) const PRIORITY: u8 = 0x2;
pub(crate) const SETTINGS: u8 = 0x4;
pub(crate) const PING: u8 = 0x6;
pub(crate) const GOAWAY: u8 = 0x7;
pub(crate) const WINDOW_UPDATE: u8 = 0x8;
pub(crate) const CONTINUATION: u8 = 0x9;
pub(crate) const END_STREAM: u8 = 0x1;
pub(crate) const PADDED: u8 = 0x8;
const END_HEADERS: u8 = 0x4;
pub(crate) const PROTOCOL_ERROR: u32 = 0x1;
pub(crate) const REFUSED_STREAM: u32 = 0x7;
pub(crate) const ENHANCE_YOUR_CALM: u32 = 0xb;

/// `:status` of these in a header block (RFC 7541 appendix A).
pub(crate) const STATUS_200: u8 = 0x88;
pub(crate) const STATUS_400: u8 = 0x8c;

/// One connection. It answers no PING, and keeps to no limits.
pub(crate) struct H2Frames {
    client: Client,
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Frame {
    pub(crate) kind: u8,
    pub(crate) flags: u8,
    pub(crate) stream: u32,
    pub(crate) payload: Vec<u8>,
}

impl H2Frames {
    pub(crate) async fn connect(addr: SocketAddr) -> H2Frames {
        let mut frames = H2Frames { client: Client::connect(addr).await };
        frames.client.send("PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n").await;
        frames.send(SETTINGS, 0, 0, &[]).await;
        frames
    }

    /// Gives this window to each stream, and as much more to all together.
    pub(crate) async fn give_windows(&mut self, window: u32) {
        const INITIAL_WINDOW_SIZE: [u8; 2] = [0, 4];
        const OF_ALL: u32 = 65_535;
        let setting = [&INITIAL_WINDOW_SIZE[..], &window.to_be_bytes()].concat();
        self.send(SETTINGS, 0, 0, &setting).await;
        if window > OF_ALL {
            self.send(WINDOW_UPDATE, 0, 0, &(window - OF_ALL).to_be_bytes()).await;
        }
    }

    /// Opens a stream with these fields; `flags` may hold `END_STREAM`.
    pub(crate) async fn head(&mut self, stream: u32, fields: &[(&str, &str)], flags: u8) {
        self.send_raw(&head(stream, fields, flags)).await;
    }

    /// Sends a frame; the other end may have closed already.
    pub(crate) async fn send(&mut self, kind: u8, flags: u8, stream: u32, payload: &[u8]) {
        self.send_raw(&frame(kind, flags, stream, payload)).await;
    }

    /// Sends bytes as they are, whole frames or not.
    pub(crate) async fn send_raw(&mut self, bytes: &[u8]) {
        self.client.try_send(bytes).await.ok();
    }

    /// The next frame that says something about a stream, or ends the
    /// connection; none once it is closed.
    pub(crate) async fn next(&mut self) -> Option<Frame> {
        loop {
            let head = self.client.take_or_closed(9).await?;
            let length = u32::from_be_bytes([0, head[0], head[1], head[2]]) as usize;
            let stream = u32::from_be_bytes(head[5..9].try_into().unwrap());
            let payload = self.client.take_or_closed(length).await?;
            let frame = Frame { kind: head[3], flags: head[4], stream, payload };
            match frame.kind {
                SETTINGS | WINDOW_UPDATE => {}
                DATA | HEADERS | RST_STREAM | GOAWAY => return Some(frame),
                // What the proxy asks of its clients besides goes unanswered.
                _ => {}
            }
        }
    }

    /// The next frame of `stream`; those of others are dropped.
    pub(crate) async fn next_of(&mut self, stream: u32) -> Frame {
        loop {
            let frame = self.next().await.unwrap_or_else(|| panic!("closed before {stream}"));
            if frame.stream == stream {
                return frame;
            }
        }
    }
}

impl Frame {
    /// Why a `RST_STREAM` or a `GOAWAY` was sent.
    pub(crate) fn reason(&self) -> u32 {
        let at = match self.kind {
            RST_STREAM => 0,
            GOAWAY => 4,
            _ => panic!("{self:?} has no reason"),
        };
        u32::from_be_bytes(self.payload[at..at + 4].try_into().unwrap())
    }
}

/// The bytes of a frame.
pub(crate) fn frame(kind: u8, flags: u8, stream: u32, payload: &[u8]) -> Vec<u8> {
    let length = u32::try_from(payload.len()).unwrap().to_be_bytes();
    [&length[1..], &[kind, flags], &stream.to_be_bytes(), payload].concat()
}

/// The bytes of a frame that opens a stream with these fields.
pub(crate) fn head(stream: u32, fields: &[(&str, &str)], flags: u8) -> Vec<u8> {
    let block: Vec<u8> = fields
        .iter()
        // Literals, never indexed and never compressed (RFC 7541 §6.2.2).
        .flat_map(|(name, value)| [vec![0], literal(name), literal(value)].concat())
        .collect();
    frame(HEADERS, flags | END_HEADERS, stream, &block)
}

/// A string of a header block, its length before it (RFC 7541 §5).
fn literal(text: &str) -> Vec<u8> {
    let mut bytes = Vec::new();
    match text.len() {
        short @ 0..127 => bytes.push(u8::try_from(short).unwrap()),
        long => {
            bytes.push(127);
            let mut rest = long - 127;
            while rest >= 128 {
                bytes.push(u8::try_from(rest % 128).unwrap() | 128);
                rest /= 128;
            }
            bytes.push(u8::try_from(rest).unwrap());
        }
    }
    bytes.extend_from_slice(text.as_bytes());
    bytes
}
