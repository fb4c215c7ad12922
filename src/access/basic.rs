//! Basic authentication (RFC 7617): a name and a password with every request.

use std::path::PathBuf;
use std::sync::Arc;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use http::{HeaderMap, HeaderValue, header};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::password;
use super::passwords::{Claim, Passwords, Unknown, Verdict};
use super::users::Users;
use crate::fault::Faults;
use crate::networks::ClientKey;
use crate::units::Switch;
use crate::watch::{Watched, WatchedFiles};

/// The longest `name:password` in its coding: the longest of both, and some.
const LONGEST: usize = 2048;

/// The key `access.basic`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct Config {
    /// Lines of `name:hash`; the hashes are of argon2 or bcrypt. It is read
    /// again when it changes.
    pub file: PathBuf,
    /// What browsers call the place that one signs in to.
    #[serde(default = "realm")]
    pub realm: String,
    /// Whether the server sees the name and the password, too.
    #[serde(default = "pass")]
    pub pass: Switch,
}

fn realm() -> String {
    "restricted".to_owned()
}

fn pass() -> Switch {
    Switch::ON
}

/// Why a request is not let in.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub(crate) enum Fault {
    #[error("no name and password")]
    Missing,
    #[error("no credentials of the scheme Basic")]
    Malformed,
    #[error("a wrong name or password")]
    Wrong,
    #[error("too many passwords are waiting to be verified")]
    Busy,
    #[error("the password cannot be verified")]
    Unverifiable,
}

impl Fault {
    /// Why, as a word of the log.
    pub(crate) fn tag(self) -> &'static str {
        match self {
            Fault::Missing => "basic_missing",
            Fault::Malformed => "basic_malformed",
            Fault::Wrong => "basic_wrong",
            Fault::Busy => "basic_busy",
            Fault::Unverifiable => "basic_unverifiable",
        }
    }
}

/// Lets in who is in a file.
#[derive(Debug)]
pub(super) struct Basic {
    users: Arc<Watched<Users>>,
    passwords: Arc<Passwords>,
    challenge: HeaderValue,
    passes: bool,
}

impl Basic {
    pub(super) fn new(
        config: &Config,
        files: &WatchedFiles<Users>,
        passwords: &Arc<Passwords>,
    ) -> Result<Self, Faults> {
        let mut faults = Faults::none();
        let users = faults.collect("file", files.find(&config.file).map_err(Faults::each));
        let challenge = faults.collect("realm", challenge(&config.realm));
        faults.into_result(|| {
            Some(Basic {
                users: users?,
                passwords: passwords.clone(),
                challenge: challenge?,
                passes: config.pass.0,
            })
        })
    }

    /// The name of the user, if the password is right.
    pub(super) async fn check(
        &self,
        client: ClientKey,
        request: &HeaderMap,
    ) -> Result<String, Fault> {
        let given = request.get(header::AUTHORIZATION).ok_or(Fault::Missing)?;
        let (name, password) = read(given)?;
        let claim = Claim { client, name: &name, password: &password };
        // The file may be replaced while the password is verified.
        let users = Arc::clone(&self.users.load());
        match self.passwords.verify(claim, users.find(&name)).await {
            Ok(Verdict::Right) => Ok(name),
            Ok(Verdict::Wrong) => Err(Fault::Wrong),
            Err(Unknown::Busy) => Err(Fault::Busy),
            Err(Unknown::Unverifiable) => Err(Fault::Unverifiable),
        }
    }

    /// What a client is asked for.
    pub(super) fn challenge(&self) -> HeaderValue {
        self.challenge.clone()
    }

    /// Whether the server is to see the credentials.
    pub(super) fn passes(&self) -> bool {
        self.passes
    }
}

fn challenge(realm: &str) -> Result<HeaderValue, Faults> {
    let is_plain = |c: char| matches!(c, ' '..='~') && c != '"' && c != '\\';
    if !realm.chars().all(is_plain) || realm.is_empty() || realm.len() > 128 {
        return Err(Faults::one("has 1 to 128 letters of ASCII, without quotes and backslashes"));
    }
    let text = format!("Basic realm=\"{realm}\", charset=\"UTF-8\"");
    HeaderValue::try_from(text).map_err(|_| Faults::one("is no text for a header field"))
}

/// The name and the password in a field.
pub(super) fn read(given: &HeaderValue) -> Result<(String, Vec<u8>), Fault> {
    let given = given.as_bytes();
    let end = given.iter().position(|byte| *byte == b' ').unwrap_or(given.len());
    let (scheme, coded) = given.split_at(end);
    if !scheme.eq_ignore_ascii_case(b"basic") {
        // Of another scheme, which is nothing to us.
        return Err(Fault::Missing);
    }
    let coded = coded.trim_ascii();
    if coded.len() > LONGEST {
        return Err(Fault::Malformed);
    }
    let mut name = STANDARD.decode(coded).map_err(|_| Fault::Malformed)?;
    let colon = name.iter().position(|byte| *byte == b':').ok_or(Fault::Malformed)?;
    let password = name.split_off(colon + 1);
    name.pop();
    let name = String::from_utf8(name).map_err(|_| Fault::Malformed)?;
    if name.chars().any(char::is_control) || password.len() > password::LONGEST {
        return Err(Fault::Malformed);
    }
    Ok((name, password))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(given: &str, expected: Result<(&str, &str), Fault>) {
        let found = read(&HeaderValue::from_str(given).expect("a value"));
        let expected =
            expected.map(|(name, password)| (name.to_owned(), password.as_bytes().to_vec()));
        assert_eq!(found, expected, "{given}");
    }

    #[test]
    fn reads_names_and_passwords() {
        check("Basic YW5uOnRpZGU=", Ok(("ann", "tide")));
        check("bASIC  YW5uOnRpZGU= ", Ok(("ann", "tide")));
        check("Basic YW5uOnRpOmRl", Ok(("ann", "ti:de")));
        check("Basic YW5uOg==", Ok(("ann", "")));
        check("Basic OnRpZGU=", Ok(("", "tide")));
        check("Basic w6k6w6k=", Ok(("é", "é")));
    }

    #[test]
    fn refuses_what_is_no_name_and_password() {
        check("Bearer YW5uOnRpZGU=", Err(Fault::Missing));
        check("BasicYW5uOnRpZGU=", Err(Fault::Missing));
        check("", Err(Fault::Missing));
        for malformed in [
            "Basic",
            "Basic ",
            "Basic YW5u",
            "Basic YW5uOnRpZGU",
            "Basic YW5uOnRpZGU=, Basic YW5uOnRpZGU=",
            "Basic ann:tide",
            "Basic /zp0aWRl",
            "Basic YQBiOnRpZGU=",
        ] {
            check(malformed, Err(Fault::Malformed));
        }
    }

    #[test]
    fn names_and_passwords_have_bounds() {
        let given = |name: usize, password: usize| {
            let both = format!("{}:{}", "n".repeat(name), "p".repeat(password));
            let value = format!("Basic {}", STANDARD.encode(both));
            read(&HeaderValue::from_str(&value).expect("a value")).map(|_| ())
        };
        assert_eq!(given(500, password::LONGEST), Ok(()));
        assert_eq!(given(1, password::LONGEST + 1), Err(Fault::Malformed));
        assert_eq!(given(LONGEST / 4 * 3, 1), Err(Fault::Malformed), "in all");
    }

    #[test]
    fn a_realm_is_quoted_as_it_is() {
        let said = |realm| challenge(realm).ok().map(|value| format!("{value:?}"));
        let expected = HeaderValue::from_static("Basic realm=\"the quay\", charset=\"UTF-8\"");
        assert_eq!(said("the quay"), Some(format!("{expected:?}")));
        for bad in ["", "a\"b", "a\\b", "a\nb", "é", &"x".repeat(129)] {
            assert_eq!(said(bad), None, "{bad:?}");
        }
    }
}
