//! Hashes of passwords: Argon2 as a PHC string, or bcrypt. Others are too quick
//! to guess, or hide that the operator's file holds something else.

use argon2::password_hash::phc::PasswordHash;
use argon2::password_hash::{PasswordHasher, PasswordVerifier};
use argon2::{Argon2, Params, Version};
use aws_lc_rs::rand;

/// The most that one hash may ask for: verifying takes this memory (in KiB) and
/// so many passes for everybody who tries to sign in.
const MOST_MEMORY_KIB: u32 = 256 * 1024;
const MOST_PASSES: u32 = 32;
const MOST_LANES: u32 = 16;
/// 2^15 rounds take seconds, and of fewer than 2^4 nobody makes hashes.
const MOST_COST: u32 = 15;
const LEAST_COST: u32 = 4;
/// What new hashes of bcrypt have; about as long as those of Argon2.
const COST: u32 = 12;
/// The bytes of a password that bcrypt looks at.
const BCRYPT_SEES: usize = 72;

/// The longest password that is hashed, in bytes.
pub(crate) const LONGEST: usize = 1024;

/// What is wrong with a hash, or with a password to be hashed.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{0}")]
pub(crate) struct Unusable(pub(crate) String);

/// Whether a password is the right one cannot be found out.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{0}")]
pub(crate) struct Unverifiable(String);

/// One hash. Two of the same text are equal.
pub(crate) struct Hash {
    text: Box<str>,
    kind: Kind,
}

enum Kind {
    Argon2(Box<PasswordHash>),
    Bcrypt,
}

impl Hash {
    /// Reads a hash; what is said of a bad one never quotes it.
    pub(crate) fn read(text: &str) -> Result<Hash, Unusable> {
        let kind = match kind_of(text) {
            Found::Argon2 => read_argon2(text)?,
            Found::Bcrypt => read_bcrypt(text)?,
            Found::Other(what) => {
                let right = "make a hash with `tidegate hash-password`";
                return Err(Unusable(format!("{what}; {right}")));
            }
        };
        Ok(Hash { text: text.into(), kind })
    }

    /// Whether it is the hash of `password`; takes long, and blocks meanwhile.
    pub(crate) fn verify(&self, password: &[u8]) -> Result<bool, Unverifiable> {
        match &self.kind {
            Kind::Argon2(hash) => match Argon2::default().verify_password(password, &**hash) {
                Ok(()) => Ok(true),
                Err(argon2::password_hash::Error::PasswordInvalid) => Ok(false),
                Err(error) => Err(Unverifiable(error.to_string())),
            },
            Kind::Bcrypt => bcrypt::verify(password, &self.text)
                .map_err(|error| Unverifiable(error.to_string())),
        }
    }

    pub(crate) fn text(&self) -> &str {
        &self.text
    }

    /// One of bcrypt that would not have been read.
    #[cfg(test)]
    pub(super) fn unverifiable() -> Hash {
        Hash { text: "$2y$03$".into(), kind: Kind::Bcrypt }
    }
}

impl std::fmt::Debug for Hash {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Hash")
    }
}

/// A new hash of Argon2id, with the parameters that its authors advise.
pub(crate) fn argon2(password: &[u8]) -> Result<String, Unusable> {
    check(password)?;
    let hash = Argon2::default().hash_password_with_salt(password, &salt()?);
    hash.map(|hash: PasswordHash| hash.to_string()).map_err(unusable)
}

/// A new hash of bcrypt, which other servers read, too.
pub(crate) fn bcrypt(password: &[u8]) -> Result<String, Unusable> {
    check(password)?;
    if password.len() > BCRYPT_SEES {
        return Err(Unusable(format!("bcrypt sees {BCRYPT_SEES} bytes of a password only")));
    }
    let hash = bcrypt::hash_with_salt(password, COST, salt()?).map_err(unusable)?;
    Ok(hash.format_for_version(bcrypt::Version::TwoY))
}

/// Whether a password can be sent and hashed at all.
fn check(password: &[u8]) -> Result<(), Unusable> {
    match password.len() {
        0 => Err(Unusable("the password is empty".to_owned())),
        1..=LONGEST => Ok(()),
        _ => Err(Unusable(format!("a password has at most {LONGEST} bytes"))),
    }
}

fn salt() -> Result<[u8; 16], Unusable> {
    let mut salt = [0; 16];
    rand::fill(&mut salt).map_err(unusable)?;
    Ok(salt)
}

fn unusable(error: impl std::fmt::Display) -> Unusable {
    Unusable(error.to_string())
}

enum Found {
    Argon2,
    Bcrypt,
    Other(&'static str),
}

fn kind_of(text: &str) -> Found {
    let begins = |starts: &[&str]| starts.iter().any(|start| text.starts_with(start));
    if begins(&["$argon2id$", "$argon2i$", "$argon2d$"]) {
        Found::Argon2
    } else if begins(&["$2y$", "$2b$", "$2a$"]) {
        Found::Bcrypt
    } else if begins(&["$apr1$", "$1$"]) {
        Found::Other("is a hash of MD5, which is guessed at once")
    } else if begins(&["{SHA}", "{SSHA}"]) {
        Found::Other("is a hash of SHA-1, which is guessed at once")
    } else if begins(&["$"]) {
        Found::Other("is a hash of another kind than argon2 and bcrypt")
    } else {
        Found::Other("is no hash of argon2 or bcrypt")
    }
}

fn read_argon2(text: &str) -> Result<Kind, Unusable> {
    let broken = || Unusable("is a broken hash of argon2".to_owned());
    let hash = PasswordHash::new(text).map_err(|_| broken())?;
    let params = Params::try_from(&hash).map_err(|_| broken())?;
    if hash.salt.is_none() || hash.hash.is_none() {
        return Err(broken());
    }
    // Of one that says none there are two readings.
    if hash.version.and_then(|version| Version::try_from(version).ok()).is_none() {
        return Err(Unusable("is of an unknown version of argon2; v=19 is known".to_owned()));
    }
    if params.m_cost() > MOST_MEMORY_KIB || params.t_cost() > MOST_PASSES {
        let most = format!("at most m={MOST_MEMORY_KIB} and t={MOST_PASSES}");
        return Err(Unusable(format!("takes too much memory or time to verify; {most}")));
    }
    if params.p_cost() > MOST_LANES {
        return Err(Unusable(format!("has too many lanes; at most p={MOST_LANES}")));
    }
    Ok(Kind::Argon2(Box::new(hash)))
}

fn read_bcrypt(text: &str) -> Result<Kind, Unusable> {
    let parts: Option<bcrypt::HashParts> = text.parse().ok();
    let parts = parts.ok_or_else(|| Unusable("is a broken hash of bcrypt".to_owned()))?;
    if parts.get_cost() > MOST_COST {
        return Err(Unusable(format!("takes too long to verify; at most a cost of {MOST_COST}")));
    }
    if parts.get_cost() < LEAST_COST {
        return Err(Unusable(format!("is guessed at once; at least a cost of {LEAST_COST}")));
    }
    Ok(Kind::Bcrypt)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Of "tide", quick to verify; by the reference implementations.
    const ARGON2: &str = "\
        $argon2id$v=19$m=64,t=1,p=1$c2FsdCBvZiBhIHRlc3QhIQ$KwZ8Cx061zPZm+ona2vMoWAL2TcpYXbRDjVO8l7PufQ";
    const BCRYPT: &str = "$2y$04$N9qo8uLOickgx2ZMRZoMye5LxIOdmkBZduNc1HRtuvNL00ocRV0le";

    #[test]
    fn verifies_the_password_and_no_other() {
        for text in [ARGON2, BCRYPT, &BCRYPT.replace("$2y$", "$2b$")] {
            let hash = Hash::read(text).expect("a hash");
            assert_eq!(hash.verify(b"tide"), Ok(true), "{text}");
            for other in [&b"Tide"[..], b"tide ", b"", b"tid", b"tide\0", &[b'x'; LONGEST]] {
                assert_eq!(hash.verify(other), Ok(false), "{text} {other:?}");
            }
        }
    }

    #[test]
    fn new_hashes_are_read_and_differ() {
        for make in [argon2, bcrypt] {
            let [one, two] = [(); 2].map(|()| make(b"s\xc3\xa9same").expect("hashed"));
            assert_ne!(one, two);
            let hash = Hash::read(&one).expect("a hash");
            assert_eq!(hash.verify(b"s\xc3\xa9same"), Ok(true));
        }
        assert!(argon2(b"x").expect("hashed").starts_with("$argon2id$v=19$m=19456,t=2,p=1$"));
        assert!(bcrypt(b"x").expect("hashed").starts_with("$2y$12$"));
    }

    #[test]
    fn passwords_have_bounds() {
        assert!(argon2(b"").is_err() && bcrypt(b"").is_err());
        assert!(argon2(&[b'x'; LONGEST + 1]).is_err());
        assert!(bcrypt(&[b'x'; BCRYPT_SEES + 1]).is_err());
    }

    fn check_refused(text: &str, expected: &str) {
        let said = Hash::read(text).expect_err(text).to_string();
        assert!(said.starts_with(expected), "{text}: {said}");
        assert!(text.len() < 3 || !said.contains(text), "quotes {text}");
    }

    #[test]
    fn other_kinds_are_refused_by_their_name() {
        check_refused("$apr1$x$y", "is a hash of MD5");
        check_refused("$1$x$y", "is a hash of MD5");
        check_refused("{SHA}qUqP5cyxm6YcTAhz05Hph5gvu9M=", "is a hash of SHA-1");
        check_refused("$6$salt$hash", "is a hash of another kind");
        check_refused("$2x$10$whatever", "is a hash of another kind");
        check_refused("hunter2", "is no hash");
        check_refused("", "is no hash");
    }

    #[test]
    fn broken_and_exhausting_hashes_are_refused() {
        check_refused("$argon2id$v=19$m=64,t=1,p=1$c2FsdHNhbHQ", "is a broken hash of argon2");
        check_refused("$argon2id$nonsense", "is a broken hash of argon2");
        check_refused(&ARGON2.replace("m=64", "m=262145"), "takes too much memory");
        check_refused(&ARGON2.replace("t=1", "t=33"), "takes too much memory or time");
        check_refused("$2y$04$short", "is a broken hash of bcrypt");
        check_refused(&BCRYPT.replace("$04$", "$16$"), "takes too long");
        check_refused(&BCRYPT.replace("$04$", "$03$"), "is guessed at once");
        check_refused(&BCRYPT.replace("$04$", "$00$"), "is guessed at once");
        for version in ["v=18$", "v=99$", ""] {
            let other = ARGON2.replace("v=19$", version);
            check_refused(&other, "is of an unknown version of argon2");
        }
    }

    #[test]
    fn what_cannot_be_verified_is_not_wrong() {
        for hash in [Hash::unverifiable(), Hash::read(BCRYPT).expect("a hash")] {
            let is_known = hash.verify(b"Tide").is_ok();
            assert_eq!(is_known, hash.text() == BCRYPT);
        }
    }
}
