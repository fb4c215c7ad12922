//! What a puzzle and a pass say, and how they are sealed so that nobody else
//! can have made them: nothing is kept of either.
//!
//! Both are 68 lower-case hexadecimal digits, of 18 bytes that say when it was
//! made, how hard it is and for which client, and of 16 bytes of HMAC-SHA-256
//! over these bytes, the purpose and the host.

use std::net::Ipv4Addr;
use std::sync::Arc;

use aws_lc_rs::{constant_time, hmac};

use crate::networks::ClientKey;

use super::Why;

/// Bytes of the secret that seals.
pub(super) const SECRET: usize = 32;
/// Bytes of what a token says.
const SAID: usize = 18;
/// Bytes of its seal. RFC 4868 cuts HMAC-SHA-256 to as many.
const SEAL: usize = 16;
/// Digits of a token.
pub(super) const DIGITS: usize = 2 * (SAID + SEAL);
/// Digits of the seal, which are different for every token.
pub(super) const SEAL_DIGITS: usize = 2 * SEAL;

/// What puzzles and passes are sealed with.
#[derive(Clone)]
pub(crate) struct Seal(Arc<hmac::Key>);

impl Seal {
    /// One that nobody knows.
    pub(crate) fn random() -> Self {
        Seal::make().0
    }

    /// A new one, and the text that [`Seal::of`] makes it of again.
    pub(crate) fn make() -> (Self, String) {
        let mut secret = [0; SECRET];
        getrandom::fill(&mut secret).expect("Linux gives any process random bytes");
        (Seal::new(&secret), to_digits(&secret))
    }

    /// The seal of a text of 64 hexadecimal digits.
    pub(crate) fn of(text: &str) -> Option<Self> {
        Some(Seal::new(&from_digits(text.as_bytes())?))
    }

    pub(super) fn new(secret: &[u8; SECRET]) -> Self {
        Seal(Arc::new(hmac::Key::new(hmac::HMAC_SHA256, secret)))
    }

    pub(super) fn write(&self, purpose: Purpose, token: &Token, host: &str) -> String {
        let said = token.to_bytes();
        let seal = self.over(purpose, &said, host);
        let mut bytes = [0; SAID + SEAL];
        bytes[..SAID].copy_from_slice(&said);
        bytes[SAID..].copy_from_slice(&seal);
        to_digits(&bytes)
    }

    /// The token, if its seal is ours for that purpose and host.
    pub(super) fn read(&self, purpose: Purpose, digits: &[u8], host: &str) -> Result<Token, Why> {
        let bytes: [u8; SAID + SEAL] = from_digits(digits).ok_or(Why::Malformed)?;
        let (said, shown) = bytes.split_first_chunk::<SAID>().ok_or(Why::Malformed)?;
        let seal = self.over(purpose, said, host);
        constant_time::verify_slices_are_equal(&seal, shown).map_err(|_| Why::Forged)?;
        Token::from_bytes(said).ok_or(Why::Malformed)
    }

    fn over(&self, purpose: Purpose, said: &[u8; SAID], host: &str) -> [u8; SEAL] {
        let mut context = hmac::Context::with_key(&self.0);
        context.update(purpose.label());
        context.update(said);
        context.update(host.as_bytes());
        let tag = context.sign();
        let (seal, _) = tag.as_ref().split_first_chunk().expect("SHA-256 has 32 bytes");
        *seal
    }
}

/// Shows nothing: it is a secret.
impl std::fmt::Debug for Seal {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Seal")
    }
}

/// What a token is good for; one is never taken for the other.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Purpose {
    Puzzle,
    Pass,
}

impl Purpose {
    // Of the same length, so that what is sealed has one reading.
    fn label(self) -> &'static [u8; 17] {
        match self {
            Purpose::Puzzle => b"tidegate puzzle 1",
            Purpose::Pass => b"tidegate pass v 1",
        }
    }
}

/// What a puzzle or a pass says.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Token {
    /// In seconds since 1970.
    pub(super) made: u64,
    /// The bits of zeros that were asked for.
    pub(super) difficulty: u8,
    pub(super) network: ClientKey,
}

impl Token {
    fn to_bytes(self) -> [u8; SAID] {
        let mut bytes = [0; SAID];
        let (made, rest) = bytes.split_at_mut(8);
        made.copy_from_slice(&self.made.to_be_bytes());
        let (kind, address) = rest.split_at_mut(2);
        match self.network {
            ClientKey::V4(v4) => {
                kind.copy_from_slice(&[self.difficulty, 4]);
                address[..4].copy_from_slice(&v4.octets());
            }
            ClientKey::V6(prefix) => {
                kind.copy_from_slice(&[self.difficulty, 6]);
                address.copy_from_slice(&prefix.to_be_bytes());
            }
        }
        bytes
    }

    fn from_bytes(bytes: &[u8; SAID]) -> Option<Token> {
        let (made, rest) = bytes.split_first_chunk()?;
        let (&[difficulty, family], address) = rest.split_first_chunk()?;
        let address: [u8; 8] = address.try_into().ok()?;
        let network = match (family, address) {
            (4, [a, b, c, d, 0, 0, 0, 0]) => ClientKey::V4(Ipv4Addr::new(a, b, c, d)),
            (6, prefix) => ClientKey::V6(u64::from_be_bytes(prefix)),
            _ => return None,
        };
        Some(Token { made: u64::from_be_bytes(*made), difficulty, network })
    }
}

fn to_digits(bytes: &[u8]) -> String {
    let halves = bytes.iter().flat_map(|byte| [byte >> 4, byte & 15]);
    halves.map(|half| char::from_digit(half.into(), 16).expect("less than 16")).collect()
}

/// The bytes of exactly twice as many digits.
fn from_digits<const N: usize>(digits: &[u8]) -> Option<[u8; N]> {
    if digits.len() != 2 * N {
        return None;
    }
    let mut bytes = [0; N];
    for (byte, pair) in bytes.iter_mut().zip(digits.chunks_exact(2)) {
        for digit in pair {
            *byte = *byte << 4 | value(*digit)?;
        }
    }
    Some(bytes)
}

/// The value of a digit; capitals are none, so that a token has one spelling.
fn value(digit: u8) -> Option<u8> {
    match digit {
        b'0'..=b'9' => Some(digit - b'0'),
        b'a'..=b'f' => Some(digit - b'a' + 10),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const V4: ClientKey = ClientKey::V4(Ipv4Addr::new(192, 0, 2, 1));
    const TOKEN: Token = Token { made: 1_800_000_000, difficulty: 16, network: V4 };

    fn seal() -> Seal {
        Seal::new(&[7; SECRET])
    }

    #[test]
    fn reads_what_it_wrote() {
        let v6 = ClientKey::V6(0x2001_0db8_0001_0002);
        for network in [V4, v6, ClientKey::V6(0), ClientKey::V6(u64::MAX)] {
            for (made, difficulty) in [(0, 0), (1_800_000_000, 16), (u64::MAX, u8::MAX)] {
                let token = Token { made, difficulty, network };
                for purpose in [Purpose::Puzzle, Purpose::Pass] {
                    let digits = seal().write(purpose, &token, "a.example");
                    assert_eq!(digits.len(), DIGITS);
                    let read = seal().read(purpose, digits.as_bytes(), "a.example");
                    assert_eq!(read, Ok(token));
                }
            }
        }
    }

    #[test]
    fn another_seal_purpose_or_host_is_forged() {
        let digits = seal().write(Purpose::Pass, &TOKEN, "a.example");
        let read = |seal: Seal, purpose, host| seal.read(purpose, digits.as_bytes(), host);
        assert_eq!(read(seal(), Purpose::Pass, "a.example"), Ok(TOKEN));
        assert_eq!(read(seal(), Purpose::Puzzle, "a.example"), Err(Why::Forged));
        assert_eq!(read(seal(), Purpose::Pass, "b.example"), Err(Why::Forged));
        assert_eq!(read(Seal::new(&[8; SECRET]), Purpose::Pass, "a.example"), Err(Why::Forged));
        assert_eq!(read(Seal::random(), Purpose::Pass, "a.example"), Err(Why::Forged));
    }

    #[test]
    fn no_digit_can_be_another_one() {
        let digits = seal().write(Purpose::Pass, &TOKEN, "a.example").into_bytes();
        for at in 0..digits.len() {
            for other in 0..=u8::MAX {
                let mut changed = digits.clone();
                changed[at] = other;
                let expected = match other {
                    _ if other == digits[at] => Ok(TOKEN),
                    b'0'..=b'9' | b'a'..=b'f' => Err(Why::Forged),
                    _ => Err(Why::Malformed),
                };
                assert_eq!(seal().read(Purpose::Pass, &changed, "a.example"), expected);
            }
        }
        for length in (0..DIGITS).chain([DIGITS + 1, DIGITS + 2, 4096]) {
            let cut: Vec<u8> = digits.iter().cycle().take(length).copied().collect();
            assert_eq!(seal().read(Purpose::Pass, &cut, "a.example"), Err(Why::Malformed));
        }
    }

    #[test]
    fn the_layout_stays_as_it_is() {
        // Processes of two versions share a secret while one replaces the other.
        assert_eq!(
            seal().write(Purpose::Puzzle, &TOKEN, "a.example"),
            "000000006b49d2001004c000020100000000669dd5a79ec947f82c1446c0a7bcaaeb"
        );
    }

    #[test]
    fn a_seal_is_made_again_of_its_text() {
        let (made, text) = Seal::make();
        let again = Seal::of(&text).expect("a good text");
        let digits = made.write(Purpose::Pass, &TOKEN, "a.example");
        assert_eq!(again.read(Purpose::Pass, digits.as_bytes(), "a.example"), Ok(TOKEN));
        assert_ne!(Seal::make().1, text);
        for bad in [
            "",
            text.get(1..).expect("digits"),
            &format!("{text}0"),
            &"g".repeat(64),
            &"A".repeat(64),
        ] {
            assert!(Seal::of(bad).is_none(), "{bad}");
        }
    }

    #[test]
    fn a_seal_shows_nothing() {
        assert_eq!(format!("{:?}", seal()), "Seal");
    }
}
