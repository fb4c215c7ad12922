//! The secret that every change through the admin listener must show.

use std::io::Write;
use std::os::unix::fs::OpenOptionsExt;
use std::path::Path;

use anyhow::{Context, Result};
use rustls::crypto::aws_lc_rs;

/// A token of at least 16 bytes.
#[derive(Clone)]
pub(crate) struct Token(String);

/// Fewer would be guessed.
const SHORTEST: usize = 16;

impl Token {
    /// The configured token, or a new one in the file `made`, mode 0600.
    pub(crate) fn new(configured: &str, made: &Path) -> Result<Self> {
        if !configured.is_empty() {
            return Ok(Token(configured.to_owned()));
        }
        let token = random()?;
        write_private(made, &token)
            .with_context(|| format!("cannot write the admin token to {}", made.display()))?;
        Ok(Token(token))
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

/// Replaces the file as a whole: whoever may read the new one could not have
/// opened the old one before.
fn write_private(path: &Path, token: &str) -> std::io::Result<()> {
    let fresh = path.with_extension("token.new");
    if let Err(error) = std::fs::remove_file(&fresh)
        && error.kind() != std::io::ErrorKind::NotFound
    {
        return Err(error);
    }
    let mut file =
        std::fs::OpenOptions::new().write(true).create_new(true).mode(0o600).open(&fresh)?;
    writeln!(file, "{token}")?;
    file.sync_all()?;
    std::fs::rename(&fresh, path)
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::PermissionsExt;

    use super::*;

    #[test]
    fn a_made_token_is_private_and_random() {
        let dir = tempfile::tempdir().expect("a directory");
        let path = dir.path().join("admin.token");
        std::fs::write(&path, "old").expect("writable");
        let token = Token::new("", &path).expect("made");
        let written = std::fs::read_to_string(&path).expect("readable");
        assert_eq!(written.trim_end().len(), 32);
        assert!(token.is(written.trim_end().as_bytes()));
        let mode = std::fs::metadata(&path).expect("there").permissions().mode();
        assert_eq!(mode & 0o777, 0o600);
        let second = Token::new("", &path).expect("made again");
        assert!(!second.is(written.trim_end().as_bytes()));
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
