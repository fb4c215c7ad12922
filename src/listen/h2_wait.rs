//! What an HTTP/2 stream waits for, and for how long.

use std::future::Future;
use std::task::Poll;
use std::time::Duration;

use pingora::{Error, ErrorType, Result};
use tokio::time::{Instant, sleep_until, timeout};

use super::connection::{CUT, Exchange};
use super::h2_answer::H2Answer;
use super::leaving::Leaving;
use super::speed::{TooSlow, Wait};
use super::throttle::Turn;

/// How much of a body may be written at the pace of its answer, once any may; a client
/// that leaves meanwhile is noticed.
pub(super) async fn turn(leaving: &Leaving, answer: &mut H2Answer) -> Result<usize> {
    loop {
        let at = match leaving.turn() {
            Turn::Now(most) => return Ok(most),
            Turn::At(at) => at,
        };
        tokio::select! {
            biased;
            reason = answer.given_up() => {
                let what = format!("the client left: {}", reason?);
                return Err(Error::explain(ErrorType::WriteError, what).into_down());
            }
            () = sleep_until(at) => {}
        }
    }
}

/// The outcome of one step that the client is waited for, within `patience`
/// and what it still may owe.
pub(super) async fn step<T>(
    wait: &Wait<'_>,
    patience: Option<Duration>,
    late: ErrorType,
    step: impl Future<Output = Result<T>>,
) -> Result<T> {
    match (wait.left(), patience) {
        (Some(left), patience) if patience.is_none_or(|patience| left < patience) => {
            let done = timeout(left, step).await;
            done.unwrap_or_else(|_| Err(Error::because(late, "a stream", TooSlow).into_down()))
        }
        (_, patience) => within(patience, late, step).await,
    }
}

/// The outcome of `wait`, unless the exchange's deadline passes first.
pub(super) async fn before_deadline<T>(
    exchange: &Exchange,
    wait: impl Future<Output = Result<T>>,
) -> Result<T> {
    let mut wait = std::pin::pin!(unless_cut(exchange, wait));
    loop {
        // Hooks move the deadline only between two of these waits.
        let Some(deadline) = exchange.deadline() else {
            return wait.await;
        };
        tokio::select! {
            biased;
            outcome = wait.as_mut() => return outcome,
            () = sleep_until(deadline) => {}
        }
        if exchange.expire(Instant::now()) {
            return Error::e_explain(ErrorType::ReadTimedout, "the exchange stood still");
        }
    }
}

/// The outcome of `wait`, unless it is polled after the exchange was cut.
pub(super) async fn unless_cut<T>(
    exchange: &Exchange,
    wait: impl Future<Output = Result<T>>,
) -> Result<T> {
    let mut wait = std::pin::pin!(wait);
    std::future::poll_fn(|cx| match wait.as_mut().poll(cx) {
        Poll::Pending if exchange.is_cut() => Poll::Ready(
            Error::e_explain(ErrorType::ConnectionClosed, CUT).map_err(Error::into_down),
        ),
        other => other,
    })
    .await
}

/// The outcome of `wait` within `patience`, if there is a bound to it.
pub(super) async fn within<T>(
    patience: Option<Duration>,
    late: ErrorType,
    wait: impl Future<Output = Result<T>>,
) -> Result<T> {
    let Some(patience) = patience else {
        return wait.await;
    };
    match timeout(patience, wait).await {
        Ok(outcome) => outcome,
        Err(_) => Err(Error::explain(late, "the client stood still").into_down()),
    }
}
