//! The secret that every change through the admin listener must show.

use std::path::Path;

use anyhow::{Context, Result, ensure};
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
    /// does; a new one if there is none. Others know the old one, so it is not
    /// replaced where it cannot be read.
    pub(crate) fn inherit(made: &Path, owner: Owner) -> Result<Self> {
        let Some(text) = owner.read_private(made, LONGEST)? else {
            return Token::make(made, owner);
        };
        let token = text.trim_end();
        ensure!(
            token.len() >= SHORTEST && token.bytes().all(|byte| byte.is_ascii_graphic()),
            "{} is no admin token of {SHORTEST} visible characters or more; remove it, and a new \
             one is made",
            made.display()
        );
        Ok(Token(token.to_owned()))
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
    fn a_token_is_inherited_and_none_that_could_be_in_use_is_replaced() {
        let dir = tempfile::tempdir().expect("a directory");
        let path = dir.path().join("admin.token");
        let read = || fs::read_to_string(&path).expect("there");
        let made = Token::inherit(&path, us()).expect("made, where there is none");
        for _ in 0..2 {
            assert!(made.is(read().trim_end().as_bytes()));
            let inherited = Token::inherit(&path, us()).expect("inherited");
            assert!(inherited.is(read().trim_end().as_bytes()));
        }
        let refused = || {
            let before = fs::read(&path).expect("there");
            let error = Token::inherit(&path, us()).expect_err("not one of ours").to_string();
            assert!(error.contains(&path.display().to_string()), "{error}");
            assert_eq!(fs::read(&path).expect("there"), before, "{error}");
            error
        };
        fs::set_permissions(&path, fs::Permissions::from_mode(0o640)).expect("ours");
        assert!(refused().contains("chmod 0600"));
        fs::set_permissions(&path, fs::Permissions::from_mode(0o600)).expect("ours");
        for bad in ["short\n", "", "0123456789 abcdef\n"] {
            fs::write(&path, bad).expect("writable");
            assert!(refused().contains("is no admin token"));
        }
        fs::write(&path, b"0123456789abcdef\xff").expect("writable");
        assert!(refused().contains("cannot be read"));
        let elsewhere = dir.path().join("elsewhere");
        fs::rename(&path, &elsewhere).expect("moved");
        symlink(&elsewhere, &path).expect("linked");
        assert!(refused().contains("is a link"));
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
