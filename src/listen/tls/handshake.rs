//! What a handshake agreed on, or why there was none.

use std::io;
use std::sync::Arc;

use rustls::{CipherSuite, Error, PeerIncompatible, ProtocolVersion, ServerConnection};
use x509_parser::prelude::{FromDer, X509Certificate};

use super::names::Names;
use crate::listen::lane::Crowded;

/// What is known of a connection after its handshake.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Facts {
    /// `TLSv1.3` or `TLSv1.2`.
    pub(crate) version: &'static str,
    /// By its name in the registry of IANA: `TLS_AES_256_GCM_SHA384`.
    pub(crate) cipher: &'static str,
    /// The name that the client asked for, in lower case.
    pub(crate) sni: Option<Box<str>>,
    /// Those of the certificate that the client was shown. After a resumption,
    /// those of the one that it would be shown now.
    pub(super) names: Arc<Names>,
    /// HTTP/2 was agreed on (ALPN).
    pub(crate) is_h2: bool,
    /// The subject of the client's certificate, which has been verified.
    pub(crate) client_certificate: Option<Box<str>>,
}

impl Facts {
    /// Of a connection whose handshake is complete, and the names it was served by.
    pub(super) fn of(connection: &ServerConnection, names: Arc<Names>) -> Self {
        let suite = connection.negotiated_cipher_suite();
        Facts {
            version: match connection.protocol_version() {
                Some(ProtocolVersion::TLSv1_3) => "TLSv1.3",
                Some(ProtocolVersion::TLSv1_2) => "TLSv1.2",
                _ => "unknown",
            },
            cipher: suite.map_or("unknown", |suite| cipher_name(suite.suite())),
            sni: connection.server_name().map(Box::from),
            names,
            is_h2: connection.alpn_protocol() == Some(b"h2"),
            client_certificate: subject(connection),
        }
    }
}

fn cipher_name(suite: CipherSuite) -> &'static str {
    match suite {
        CipherSuite::TLS13_AES_256_GCM_SHA384 => "TLS_AES_256_GCM_SHA384",
        CipherSuite::TLS13_AES_128_GCM_SHA256 => "TLS_AES_128_GCM_SHA256",
        CipherSuite::TLS13_CHACHA20_POLY1305_SHA256 => "TLS_CHACHA20_POLY1305_SHA256",
        suite => suite.as_str().unwrap_or("unknown"),
    }
}

fn subject(connection: &ServerConnection) -> Option<Box<str>> {
    let leaf = connection.peer_certificates()?.first()?;
    let (_, leaf) = X509Certificate::from_der(leaf).ok()?;
    Some(leaf.subject().to_string().into())
}

/// The client asked for no name, or for one that no certificate has.
#[derive(Debug, thiserror::Error)]
#[error("no certificate for the name that the client asks for")]
pub(super) struct UnknownName;

impl UnknownName {
    /// The fatal alert unrecognized_name, as a record (RFC 8446 §6).
    pub(super) const ALERT: [u8; 7] = [21, 3, 3, 0, 2, 2, 112];
}

/// Why a handshake failed, in one word of a closed set.
///
/// For counters: strangers cause these errors, so none is worth a log line
/// above debug.
pub(crate) fn reason(error: &io::Error) -> &'static str {
    let Some(cause) = error.get_ref() else {
        return transport_reason(error);
    };
    if cause.is::<UnknownName>() {
        return "unknown_name";
    }
    if cause.is::<Crowded>() {
        return "crowded";
    }
    match cause.downcast_ref::<Error>() {
        Some(Error::InvalidMessage(_)) => "not_tls",
        Some(Error::PeerIncompatible(what)) => incompatible_reason(what),
        Some(Error::InvalidCertificate(_) | Error::NoCertificatesPresented) => "client_certificate",
        Some(Error::NoApplicationProtocol) => "alpn",
        Some(Error::AlertReceived(_)) => "client_refused",
        Some(_) => "other",
        None => transport_reason(error),
    }
}

fn incompatible_reason(what: &PeerIncompatible) -> &'static str {
    match what {
        PeerIncompatible::Tls12NotOffered
        | PeerIncompatible::Tls12NotOfferedOrEnabled
        // Clients of TLS 1.1 and older do not know this extension.
        | PeerIncompatible::SignatureAlgorithmsExtensionRequired
        | PeerIncompatible::SupportedVersionsExtensionRequired => "no_shared_version",
        PeerIncompatible::NoCipherSuitesInCommon
        | PeerIncompatible::NoKxGroupsInCommon
        | PeerIncompatible::NoEcPointFormatsInCommon
        | PeerIncompatible::NoSignatureSchemesInCommon => "no_shared_cipher",
        _ => "other",
    }
}

fn transport_reason(error: &io::Error) -> &'static str {
    match error.kind() {
        io::ErrorKind::UnexpectedEof
        | io::ErrorKind::ConnectionReset
        | io::ErrorKind::ConnectionAborted
        | io::ErrorKind::BrokenPipe => "cut_off",
        _ => "other",
    }
}
