//! Clients of HTTP/2 that send frames of no use, and those that have reason to.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use super::{SITE, edge, outcomes};
use crate::support::h2_frames::{
    CONTINUATION, DATA, END_STREAM, ENHANCE_YOUR_CALM, GOAWAY, HEADERS, PADDED, PING, PRIORITY,
    RST_STREAM, SETTINGS, STATUS_200, STATUS_400, WINDOW_UPDATE, frame, head,
};
use crate::support::{Edge, H2Client, H2Frames, H2Origin, Origin, poll, within};

const CANCEL: [u8; 4] = [0, 0, 0, 8];

fn fields(method: &'static str, path: &'static str) -> [(&'static str, &'static str); 4] {
    [(":method", method), (":scheme", "http"), (":authority", "a.example"), (":path", path)]
}

/// Waits until so many connections have been cut off for this.
fn await_cut(edge: &Edge, reason: &str, count: u8) {
    let series = format!("tidegate_listen_connections_cut_total{{reason=\"{reason}\"}}");
    edge.await_metric(&series, count.into());
}

/// Reads to the end of a connection, which is to be cut off.
async fn expect_cut_off(client: &mut H2Frames, what: &str) {
    let mut reason = None;
    while let Some(frame) = client.next().await {
        if frame.kind == GOAWAY {
            reason = Some(frame.reason());
        }
    }
    assert_eq!(reason, Some(ENHANCE_YOUR_CALM), "{what}");
}

/// A server that answers when it is told, and the requests that it has open.
async fn holding() -> (Origin, Arc<AtomicUsize>) {
    let open = Arc::<AtomicUsize>::default();
    let counted = open.clone();
    let origin = Origin::scripted(move |mut conn| {
        let open = counted.clone();
        async move {
            if conn.request().await.is_some() {
                open.fetch_add(1, Ordering::SeqCst);
                conn.closed().await;
                open.fetch_sub(1, Ordering::SeqCst);
            }
        }
    })
    .await;
    (origin, open)
}

#[tokio::test(flavor = "multi_thread")]
async fn floods_of_frames_end_a_connection_and_no_other() {
    let origin = Origin::ok().await;
    let edge = edge(&origin, "protocols: [h1, h2c]");
    let mut good = H2Client::connect(edge.addr()).await;
    let no_end = fields("POST", "/");
    for (kind, flags, stream, payload, most, reason, times) in [
        (SETTINGS, 0, 0, &[][..], 60, "settings", 1),
        (PING, 0, 0, &[7; 8], 1000, "pings", 1),
        (PRIORITY, 0, 1, &[0, 0, 0, 0, 1], 1000, "priorities", 1),
        (WINDOW_UPDATE, 0, 0, &[0, 0, 0, 1], 1000, "window_updates", 1),
        (0xfa, 0, 0, &[1], 1000, "other_frames", 1),
        (DATA, 0, 1, &[], 60, "empty_data", 1),
        (DATA, PADDED, 1, &[2, 0, 0], 60, "empty_data", 2),
    ] {
        let mut client = H2Frames::connect(edge.addr()).await;
        client.head(1, &no_end, 0).await;
        // What one useful frame allows, and the SETTINGS at the beginning.
        for _ in 0..most + 20 {
            client.send(kind, flags, stream, payload).await;
        }
        expect_cut_off(&mut client, reason).await;
        await_cut(&edge, reason, times);
        assert_eq!(good.get("http://a.example/").await.response.status, 200);
    }
    edge.await_stderr("cut off, for pings");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_header_block_without_end_ends_its_connection() {
    let origin = Origin::ok().await;
    let edge = edge(&origin, "protocols: [h2c]");
    for (times, payload, reason) in
        [(1, 0, "continuations"), (2, 1, "continuations"), (1, 100, "fields")]
    {
        let mut client = H2Frames::connect(edge.addr()).await;
        client.send(HEADERS, END_STREAM, 1, &[0x82]).await;
        // `accept-encoding` again and again: small once compressed, and never a whole.
        for _ in 0..12 {
            client.send(CONTINUATION, 0, 1, &vec![0x90; payload]).await;
        }
        expect_cut_off(&mut client, reason).await;
        await_cut(&edge, reason, times);
    }
    assert_eq!(origin.connections(), 0);
}

/// Opens a stream after `nth` others, and waits until its server has the request.
async fn open_nth(client: &mut H2Frames, origin: &Origin, nth: u32) -> u32 {
    let stream = 1 + 2 * nth;
    client.head(stream, &fields("GET", "/"), END_STREAM).await;
    origin.await_requests(nth as usize + 1);
    stream
}

/// Waits until the connection is cut off for its resets, and all its work ends.
async fn expect_end_for_resets(client: &mut H2Frames, edge: &Edge, open: &AtomicUsize) {
    expect_cut_off(client, "resets").await;
    await_cut(edge, "resets", 1);
    poll("the work to end", || (open.load(Ordering::SeqCst) == 0).then_some(()));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_client_that_resets_too_many_streams_is_cut_off_and_their_work_ends() {
    let (origin, open) = holding().await;
    let edge = edge(&origin, "protocols: [h2c]\n    h2: { resets_per_minute: 5 }");
    let mut client = H2Frames::connect(edge.addr()).await;
    for nth in 0..6 {
        let stream = open_nth(&mut client, &origin, nth).await;
        if nth == 5 {
            // One more that is under way when the connection is cut.
            client.head(stream + 2, &fields("GET", "/"), END_STREAM).await;
            origin.await_requests(7);
        }
        client.send(RST_STREAM, 0, stream, &CANCEL).await;
    }
    expect_end_for_resets(&mut client, &edge, &open).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_client_that_has_its_streams_reset_is_cut_off_as_well() {
    let (origin, open) = holding().await;
    let edge = edge(&origin, "protocols: [h2c]\n    h2: { resets_per_minute: 5 }");
    let mut client = H2Frames::connect(edge.addr()).await;
    for nth in 0..6 {
        let stream = open_nth(&mut client, &origin, nth).await;
        // More than a window may be.
        client.send(WINDOW_UPDATE, 0, stream, &[0x7f, 0xff, 0xff, 0xff]).await;
        if nth < 5 {
            assert_eq!(client.next_of(stream).await.kind, RST_STREAM);
        }
    }
    expect_end_for_resets(&mut client, &edge, &open).await;
}

/// A stream that is opened and reset in one.
fn opened_and_reset(stream: u32) -> Vec<u8> {
    let opened = head(stream, &fields("GET", "/"), END_STREAM);
    [opened, frame(RST_STREAM, 0, stream, &CANCEL)].concat()
}

#[tokio::test(flavor = "multi_thread")]
async fn connecting_again_gives_no_new_resets() {
    let (origin, open) = holding().await;
    let edge = edge(&origin, "protocols: [h2c]\n    h2: { resets_per_minute: 5 }");
    // As many as five connections may.
    for first in (0..25).step_by(5) {
        let mut client = H2Frames::connect(edge.addr()).await;
        for nth in 0..5 {
            client.head(1 + 2 * nth, &fields("GET", "/"), END_STREAM).await;
            origin.await_requests((first + nth) as usize + 1);
            client.send(RST_STREAM, 0, 1 + 2 * nth, &CANCEL).await;
        }
        poll("the work to end", || (open.load(Ordering::SeqCst) == 0).then_some(()));
    }
    for times in 1..4 {
        let mut client = H2Frames::connect(edge.addr()).await;
        client.send_raw(&opened_and_reset(1)).await;
        expect_cut_off(&mut client, "resets").await;
        await_cut(&edge, "resets", times);
    }
    assert_eq!(origin.requests(), 25);
}

#[tokio::test(flavor = "multi_thread")]
async fn answers_that_are_taken_allow_as_many_resets() {
    let (origin, _open) = holding().await;
    let edge = Edge::start_with(
        &SITE.replace("routes: [", "routes: [{ match: { path: /next }, respond: {} }, "),
        &[
            ("origin", &origin.addr),
            ("listener", &"protocols: [h2c]\n    h2: { resets_per_minute: 5 }"),
        ],
    );
    for _ in 0..20 {
        let mut client = H2Frames::connect(edge.addr()).await;
        for nth in 0..5 {
            let stream = 1 + 4 * nth;
            client.head(stream, &fields("GET", "/next"), END_STREAM).await;
            assert_eq!(client.next_of(stream).await.payload[0], STATUS_200);
            client.send_raw(&opened_and_reset(stream + 2)).await;
        }
        client.head(99, &fields("GET", "/next"), END_STREAM).await;
        assert_eq!(client.next_of(99).await.payload[0], STATUS_200);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_stream_that_is_reset_at_once_is_no_work_for_servers() {
    let (origin, _open) = holding().await;
    let edge = edge(&origin, "protocols: [h2c]");
    let mut client = H2Frames::connect(edge.addr()).await;
    let streams: Vec<u8> = (0..50).flat_map(|nth| opened_and_reset(1 + 2 * nth)).collect();
    client.send_raw(&streams).await;
    client.head(101, &fields("GET", "/last"), END_STREAM).await;
    origin.await_heads(&["/last"]);
    assert_eq!(origin.requests(), 1);
    let records = edge.access_log(50);
    assert_eq!(outcomes(&records), [(0, "ended_early"); 50]);
}

#[tokio::test(flavor = "multi_thread")]
async fn what_a_trusted_proxy_brings_is_of_many() {
    let (origin, _open) = holding().await;
    let edge = Edge::start_with(
        &format!("clients: {{ trusted_proxies: [127.0.0.1] }}\n{SITE}")
            .replace("routes: [", "routes: [{ match: { path: /next }, respond: {} }, "),
        &[
            ("origin", &origin.addr),
            ("listener", &"protocols: [h2c]\n    h2: { resets_per_minute: 5 }"),
        ],
    );
    let mut client = H2Frames::connect(edge.addr()).await;
    for nth in 0..100 {
        let stream = 1 + 4 * nth;
        client.send_raw(&opened_and_reset(stream)).await;
        client.head(stream + 2, &fields("HEAD", "/%5c"), END_STREAM).await;
        assert_eq!(client.next_of(stream + 2).await.payload[0], STATUS_400);
    }
    client.head(401, &fields("GET", "/next"), END_STREAM).await;
    assert_eq!(client.next_of(401).await.payload[0], STATUS_200);
}

#[tokio::test(flavor = "multi_thread")]
async fn who_asks_on_and_on_after_goodbye_is_cut_off() {
    let origin = Origin::ok().await;
    let listener = "protocols: [h2c]
    h2: { streams: 10 }
    limits: { requests_per_connection: 1 }";
    let edge = edge(&origin, listener);
    let mut client = H2Frames::connect(edge.addr()).await;
    // It answers no PING, and so the library takes it that it has yet to hear
    // of the goodbye.
    for nth in 0..11 {
        client.head(1 + 2 * nth, &fields("HEAD", "/"), END_STREAM).await;
        assert_eq!(client.next_of(1 + 2 * nth).await.payload[0], STATUS_200);
    }
    client.head(23, &fields("HEAD", "/"), END_STREAM).await;
    expect_cut_off(&mut client, "overstaying").await;
    await_cut(&edge, "overstaying", 1);
    assert_eq!(origin.requests(), 11);
}

#[tokio::test(flavor = "multi_thread")]
async fn who_floods_is_banned_where_offenders_are() {
    let origin = Origin::ok().await;
    let site = format!("bans: {{ after: 2 }}\n{SITE}");
    let places: [(&str, &dyn std::fmt::Display); 2] =
        [("origin", &origin.addr), ("listener", &"protocols: [h2c]")];
    let edge = Edge::start_with(&site, &places);
    for times in 1..3 {
        let mut client = H2Frames::connect(edge.addr()).await;
        for _ in 0..80 {
            client.send(SETTINGS, 0, 0, &[]).await;
        }
        expect_cut_off(&mut client, "settings").await;
        edge.await_metric("tidegate_limit_offences_total{offence=\"malformed\"}", times.into());
    }
    let mut client = H2Frames::connect(edge.addr()).await;
    assert_eq!(client.next().await, None, "it is banned");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_browser_may_give_up_all_of_a_page() {
    let (origin, open) = holding().await;
    let edge = Edge::start_with(
        &SITE.replace("routes: [", "routes: [{ match: { path: /next }, respond: {} }, "),
        &[("origin", &origin.addr), ("listener", &"protocols: [h2c]")],
    );
    let mut client = H2Frames::connect(edge.addr()).await;
    let streams: Vec<u32> = (0..100).map(|nth| 1 + 2 * nth).collect();
    for stream in &streams {
        client.head(*stream, &fields("GET", "/"), END_STREAM).await;
    }
    origin.await_requests(100);
    for stream in &streams {
        client.send(RST_STREAM, 0, *stream, &CANCEL).await;
    }
    client.head(201, &fields("GET", "/next"), END_STREAM).await;
    assert_eq!(client.next_of(201).await.payload[0], STATUS_200);
    poll("the work to end", || (open.load(Ordering::SeqCst) == 0).then_some(()));
    // And may think better of it before anybody has looked.
    for nth in 0..50 {
        client.head(203 + 2 * nth, &fields("GET", "/"), END_STREAM).await;
        client.send(RST_STREAM, 0, 203 + 2 * nth, &CANCEL).await;
    }
    client.head(401, &fields("GET", "/next"), END_STREAM).await;
    assert_eq!(client.next_of(401).await.payload[0], STATUS_200);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_client_may_give_windows_back_and_ping_as_much_as_it_reads() {
    const PIECES: u32 = 1000;
    let origin = H2Origin::scripted(|mut call| async move {
        call.answer(vec![b'x'; PIECES as usize * 16_384]);
    })
    .await;
    let site = SITE.replace("servers:", "protocol: h2c, servers:");
    let places: [(&str, &dyn std::fmt::Display); 2] =
        [("origin", &origin.addr), ("listener", &"protocols: [h2c]")];
    let edge = Edge::start_with(&site, &places);
    let mut client = H2Frames::connect(edge.addr()).await;
    client.head(1, &fields("GET", "/"), END_STREAM).await;
    let mut read = 0;
    let mut frames = 0;
    let all = async {
        while read < PIECES as usize * 16_384 {
            let frame = client.next().await.expect("more to come");
            assert!(matches!(frame.kind, HEADERS | DATA), "{frame:?}");
            if frame.kind == HEADERS {
                continue;
            }
            read += frame.payload.len();
            frames += 1;
            let update = u32::try_from(frame.payload.len()).unwrap().to_be_bytes();
            client.send(WINDOW_UPDATE, 0, 0, &update).await;
            client.send(WINDOW_UPDATE, 0, 1, &update).await;
            client.send(PING, 0, 0, &[1; 8]).await;
        }
    };
    within("the answer", all).await;
    assert!(frames >= PIECES, "{frames}");
}
