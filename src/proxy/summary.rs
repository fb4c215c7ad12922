//! What a record says of an error.

use pingora::{Error, ErrorType, ImmutStr};

/// The error in one line, cut so that a record stays a line of bearable length.
///
/// What pingora made up at run time may quote what it read, cookies and bodies
/// included; before there is a connection to a server, it has read nothing.
pub(super) fn of(error: &Error) -> String {
    const LONGEST: usize = 300;
    let mut line = error.esource().as_str().to_owned();
    append(&mut line, error);
    line.trim_start().chars().take(LONGEST).collect()
}

// As deep as errors are nested, which is as often as code above wraps one.
fn append(line: &mut String, error: &Error) {
    line.push(' ');
    line.push_str(error.etype().as_str());
    match &error.context {
        Some(ImmutStr::Owned(_)) if !is_of_connecting(error.etype()) => {}
        Some(context) => {
            line.push_str(" context: ");
            line.push_str(context.as_str());
        }
        None => {}
    }
    let Some(cause) = &error.cause else {
        return;
    };
    line.push_str(" cause:");
    match cause.downcast_ref::<Box<Error>>() {
        Some(error) => append(line, error),
        None => {
            line.push(' ');
            line.push_str(&cause.to_string());
        }
    }
}

/// Whether an error is one of making a connection, TLS included.
fn is_of_connecting(kind: &ErrorType) -> bool {
    matches!(
        kind,
        ErrorType::ConnectTimedout
            | ErrorType::ConnectRefused
            | ErrorType::ConnectNoRoute
            | ErrorType::ConnectError
            | ErrorType::BindError
            | ErrorType::SocketError
            | ErrorType::TLSHandshakeFailure
            | ErrorType::TLSHandshakeTimedout
            | ErrorType::InvalidCert
            | ErrorType::HandshakeError
    )
}
