//! The secret that every change through the admin listener must show.

use std::fs::File;
use std::io::Read;
use std::path::Path;

use anyhow::{Context, Result};
use rustix::fs::{Mode, OFlags};
use rustls::crypto::aws_lc_rs;

use super::owner::Owner;

/// A token of at least 16 bytes.
#[derive(Clone)]
pub(crate) struct Token(String);

/// Fewer would be guessed.
const SHORTEST: usize = 16;
/// Bytes read of a file with a token; one that is made has 33.
const LONGEST: u64 = 256;

impl Token {
    /// The token of the configuration, if it has one.
    pub(crate) fn configured(written: &str) -> Option<Self> {
        (!written.is_empty()).then(|| Token(written.to_owned()))
    }

    /// A new token, in the file `made` for `owner` alone.
    ///
    /// Whatever token was there is lost, so nothing that may be in use is
    /// replaced: a process makes one once the sockets are its own.
    pub(crate) fn make(made: &Path, owner: Owner) -> Result<Self> {
        let token = random()?;
        owner
            .replace(made, 0o600, &format!("{token}\n"))
            .with_context(|| format!("cannot write the admin token to {}", made.display()))?;
        Ok(Token(token))
    }

    /// The token that the process before made, which serves until this one
    /// does; a new one if there is none, or others could have read it.
    pub(crate) fn inherit(made: &Path, owner: Owner) -> Result<Self> {
        match read_private(made, owner) {
            Some(token) => Ok(Token(token)),
            None => Token::make(made, owner),
        }
    }

    /// Whether a configured token is long enough; an empty one is made.
    pub(crate) fn is_acceptable(configured: &str) -> bool {
        configured.is_empty() || configured.len() >= SHORTEST
    }

    /// Compares in a time that does not tell where the difference is.
    pub(crate) fn is(&self, shown: &[u8]) -> bool {
        let expected = self.0.as_bytes();
        let difference = expected.iter().zip(shown).fold(0, |all, (a, b)| all | (a ^ b));
        difference == 0 && expected.len() == shown.len()
    }
}

/// Shows nothing: it is a secret.
impl std::fmt::Debug for Token {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Token")
    }
}

fn random() -> Result<String> {
    let mut bytes = [0; 16];
    let random = aws_lc_rs::default_provider().secure_random;
    random.fill(&mut bytes).map_err(|_| anyhow::anyhow!("the system gives no random bytes"))?;
    Ok(bytes.iter().map(|byte| format!("{byte:02x}")).collect())
}

pub(super) fn read_private(path: &Path, owner: Owner) -> Option<String> {
    // Neither a link nor a pipe is what a process made.
    let flags = OFlags::RDONLY | OFlags::NOFOLLOW | OFlags::NONBLOCK | OFlags::CLOEXEC;
    let file = File::from(rustix::fs::open(path, flags, Mode::empty()).ok()?);
    if !owner.has_alone(&file.metadata().ok()?) {
        return None;
    }
    let mut text = String::new();
    file.take(LONGEST).read_to_string(&mut text).ok()?;
    let token = text.trim_end();
    let is_good = token.len() >= SHORTEST && token.bytes().all(|byte| byte.is_ascii_graphic());
    is_good.then(|| token.to_owned())
}

#[cfg(test)]
mod tests {
    use std::fs;
    use std::os::unix::fs::{PermissionsExt, symlink};

    use super::*;

    fn us() -> Owner {
        Owner::new(None).expect("ours")
    }

    #[test]
    fn a_made_token_is_private_and_random() {
        let dir = tempfile::tempdir().expect("a directory");
        let path = dir.path().join("admin.token");
        fs::write(&path, "old").expect("writable");
        let token = Token::make(&path, us()).expect("made");
        let written = fs::read_to_string(&path).expect("readable");
        assert_eq!(written.trim_end().len(), 32);
        assert!(token.is(written.trim_end().as_bytes()));
        let mode = fs::metadata(&path).expect("there").permissions().mode();
        assert_eq!(mode & 0o777, 0o600);
        let second = Token::make(&path, us()).expect("made again");
        assert!(!second.is(written.trim_end().as_bytes()));
    }

    #[test]
    fn a_token_is_inherited_only_if_nobody_else_could_know_it() {
        let dir = tempfile::tempdir().expect("a directory");
        let path = dir.path().join("admin.token");
        let check = |is_good| {
            let before = fs::read_to_string(&path).unwrap_or_default();
            let token = Token::inherit(&path, us()).expect("inherited or made");
            assert_eq!(token.is(before.trim_end().as_bytes()), is_good, "{before:?}");
            let after = fs::read_to_string(&path).expect("there");
            assert!(token.is(after.trim_end().as_bytes()), "{after:?}");
        };
        check(false);
        check(true);
        fs::set_permissions(&path, fs::Permissions::from_mode(0o640)).expect("ours");
        check(false);
        for bad in ["short\n", "", "0123456789 abcdef\n"] {
            fs::write(&path, bad).expect("writable");
            check(false);
        }
        let elsewhere = dir.path().join("elsewhere");
        fs::rename(&path, &elsewhere).expect("moved");
        symlink(&elsewhere, &path).expect("linked");
        check(false);
    }

    #[test]
    fn only_the_whole_token_will_do() {
        let token = Token("0123456789abcdef".to_owned());
        assert!(token.is(b"0123456789abcdef"));
        for wrong in ["", "0123456789abcde", "0123456789abcdef0", "0123456789abcdeF"] {
            assert!(!token.is(wrong.as_bytes()), "{wrong}");
        }
    }
}
