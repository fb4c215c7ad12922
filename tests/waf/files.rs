//! Files in forms, which servers get while they come.

use tokio::sync::mpsc;

use super::*;
use crate::support::h2_client::next;
use crate::support::{H2Origin, within};

const KIND: &str = "multipart/form-data; boundary=b";

fn field(name: &str, value: &str) -> String {
    format!("--b\r\ncontent-disposition: form-data; name=\"{name}\"\r\n\r\n{value}\r\n")
}

fn file(name: &str, content: &str) -> String {
    let kind = format!("form-data; name=\"f\"; filename=\"{name}\"");
    format!("--b\r\ncontent-disposition: {kind}\r\n\r\n{content}\r\n")
}

async fn upload(client: &mut Client, by: By, parts: &[String]) -> Response {
    let body = parts.concat() + "--b--\r\n";
    let request = h1(by, "POST", &body);
    let kind = format!("host: a.example\r\ncontent-type: {KIND}\r\n");
    client.try_send(request.replacen("host: a.example\r\n", &kind, 1)).await.ok();
    client.response().await
}

/// The status of an upload, and whether its server got anything of it, and `attack`.
async fn outcome(body: &str, by: By, parts: &[String]) -> (u16, bool, bool) {
    let origin = mirror().await;
    let edge = before(&origin, body);
    let mut client = Client::connect(edge.addr()).await;
    let answer = upload(&mut client, by, parts).await;
    if answer.status == 200 {
        assert!(answer.text() == parts.concat() + "--b--\r\n", "it is another body");
    } else if edge.access_log(1)[0]["attempts"] != 0 {
        // A client may have its answer before the server has read what was sent to it.
        origin.await_ended(1);
    }
    let seen = origin.received_text();
    (answer.status, !seen.is_empty(), seen.contains("attack"))
}

#[tokio::test(flavor = "multi_thread")]
async fn content_of_files_passes_and_does_not_count() {
    let large = sized(700_000, "attack");
    for by in [By::Length, By::Chunks] {
        for parts in [
            &[file("a.txt", &large)][..],
            &[field("a", "1"), file("a.txt", &large), field("b", "2"), file("b.txt", &large)],
            &[field("a", &sized(120_000, "")), file("a.txt", "attack")],
        ] {
            for body in ["{}", "{ over: block }", "{ inspect: 1MiB }"] {
                assert_eq!(outcome(body, by, parts).await.0, 200, "{by:?} {body}");
            }
        }
        let small = [field("a", "1"), file("a.txt", "attack"), field("b", "2")];
        assert_eq!(outcome("{ inspect: 1KiB }", by, &small).await, (200, true, true));
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_said_beside_files_is_judged() {
    let large = sized(700_000, "");
    for by in [By::Length, By::Chunks] {
        for parts in [
            &[field("a", "attack"), file("a.txt", &large)],
            &[file("attack.txt", &large), field("a", "1")],
        ] {
            assert_eq!(outcome("{}", by, parts).await, (403, false, false), "{by:?}");
        }
        // The server has begun to get the file. The rest is not sent.
        for parts in [
            &[file("a.txt", &large), field("a", "attack")],
            &[file("a.txt", &large), file("attack.txt", "")],
        ] {
            assert_eq!(outcome("{}", by, parts).await, (403, true, false), "{by:?}");
        }
        // They share what is judged of a body.
        let fields = [file("a.txt", &large), field("a", &sized(200_000, ""))];
        assert_eq!(outcome("{ over: block }", by, &fields).await, (413, true, false), "{by:?}");
        assert_eq!(outcome("{}", by, &fields).await.0, 200);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn files_may_be_kept_like_the_rest() {
    let body = "{ files: keep, over: block }";
    for by in [By::Length, By::Chunks] {
        let small = [file("a.txt", &sized(1000, ""))];
        assert_eq!(outcome(body, by, &small).await.0, 200, "{by:?}");
        let large = [file("a.txt", &sized(700_000, ""))];
        assert_eq!(outcome(body, by, &large).await, (413, false, false), "{by:?}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn the_connection_to_a_server_that_got_a_part_is_not_used_again() {
    let origin = mirror().await;
    let edge = before(&origin, "{}");
    let mut client = Client::connect(edge.addr()).await;
    let parts = [file("a.txt", &sized(700_000, "")), field("a", "attack")];
    assert_eq!(upload(&mut client, By::Length, &parts).await.status, 403);
    let answer = Client::ask(edge.addr(), h1(By::Length, "POST", "good")).await;
    assert_eq!((answer.status, answer.text().as_str()), (200, "good"));
    assert_eq!((origin.connections(), origin.requests()), (2, 1), "the first was no request");
    let records = edge.stop();
    assert_eq!((&records[0]["attempts"], &records[0]["rule"]), (&1.into(), &"20".into()));
    assert_eq!(records[0]["failures"], serde_json::Value::Null, "no fault of the server");
}

#[tokio::test(flavor = "multi_thread")]
async fn over_h2_a_server_that_got_a_part_is_told_that_no_more_comes() {
    let (told, mut tells) = mpsc::unbounded_channel();
    let origin = H2Origin::scripted(move |mut call| {
        let told = told.clone();
        async move {
            let mut seen = Vec::new();
            let end = loop {
                match next(call.request.body_mut()).await {
                    Ok(Some(piece)) => seen.extend_from_slice(&piece),
                    Ok(None) => break None,
                    Err(error) => break error.reason(),
                }
            };
            told.send((String::from_utf8(seen).unwrap().contains("attack"), end)).unwrap();
            if end.is_none() {
                call.answer("whole");
            }
        }
    })
    .await;
    let app = format!("{{ servers: ['{}'], protocol: h2c }}", origin.addr);
    let edge = start(&[("app", &app)]);
    let mut client = Client::connect(edge.addr()).await;
    let parts = [file("a.txt", &sized(700_000, "")), field("a", "attack")];
    assert_eq!(upload(&mut client, By::Length, &parts).await.status, 403);
    let (saw_attack, end) = within("the end of the stream", tells.recv()).await.unwrap();
    assert_eq!((saw_attack, end), (false, Some(h2::Reason::CANCEL)));
    let good = [file("a.txt", &sized(700_000, "")), field("a", "good")];
    let mut client = Client::connect(edge.addr()).await;
    assert_eq!(upload(&mut client, By::Chunks, &good).await.text(), "whole");
}
