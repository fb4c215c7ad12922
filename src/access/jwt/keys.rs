//! A set of public keys as RFC 7517 writes it: `{"keys": [...]}`.

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use serde::Deserialize;
use serde::de::IgnoredAny;

use super::algorithm::{Algorithm, Public};

/// The largest set that is read.
pub(super) const LARGEST: u64 = 256 * 1024;
/// The most keys of a set.
const MOST_KEYS: usize = 64;
/// So many keys are tried for a token: each that is of its kind, if it does not
/// say which, and each costs a forged one 0.1 ms. Issuers have two or three.
const MOST_TRIED: usize = 16;
/// Bytes of an RSA modulus: 2048 to 8192 bits.
const MODULUS: std::ops::RangeInclusive<usize> = 256..=1024;

/// The keys that can be used. Invariant: not empty.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(in crate::access) struct Keys(Vec<Key>);

#[derive(Debug, Clone, PartialEq, Eq)]
struct Key {
    id: Option<String>,
    /// The only one it is for, if the set says so.
    algorithm: Option<Algorithm>,
    public: Public,
}

/// What keys say of a signature.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Signature {
    Good,
    Bad,
    /// No key has this id and is of this kind.
    NoKey,
}

impl Keys {
    /// Reads a set. Keys that are for other things are passed over (RFC 7517 §5).
    pub(super) fn read(text: &str) -> Result<Keys, String> {
        let set: Set = serde_json::from_str(text).map_err(|error| {
            // What serde quotes could be a private key in the wrong place.
            format!("is no set of keys (JWKS), line {} column {}", error.line(), error.column())
        })?;
        if set.keys.len() > MOST_KEYS {
            return Err(format!("has more than {MOST_KEYS} keys"));
        }
        let keys = set.keys.iter().filter_map(|entry| match entry {
            Entry::Key(written) => written.usable(),
            Entry::Odd(_) => None,
        });
        let keys: Vec<Key> = keys.collect();
        if keys.is_empty() {
            let kinds = "RSA from 2048 bits, P-256, P-384 or Ed25519";
            return Err(format!("has no public key that can be used: {kinds}"));
        }
        Ok(Keys(keys))
    }

    pub(super) fn len(&self) -> usize {
        self.0.len()
    }

    /// Whether the key of this id, or one of the keys if there is no id, has
    /// signed `message`.
    pub(super) fn verify(
        &self,
        id: Option<&str>,
        algorithm: Algorithm,
        message: &[u8],
        by: &[u8],
    ) -> Signature {
        let is_for = |key: &&Key| {
            id.is_none_or(|id| key.id.as_deref() == Some(id))
                && key.algorithm.is_none_or(|own| own == algorithm)
                && key.public.is_for(algorithm)
        };
        let mut keys = self.0.iter().filter(is_for).take(MOST_TRIED).peekable();
        if keys.peek().is_none() {
            return Signature::NoKey;
        }
        match keys.any(|key| key.public.has_signed(algorithm, message, by)) {
            true => Signature::Good,
            false => Signature::Bad,
        }
    }
}

#[derive(Deserialize)]
struct Set {
    keys: Vec<Entry>,
}

/// What is no key to us may be one to others, and spoils none of the rest.
#[derive(Deserialize)]
#[serde(untagged)]
enum Entry {
    Key(Box<Written>),
    Odd(IgnoredAny),
}

/// A key as it is written; what other kinds of keys have besides is ignored.
#[derive(Deserialize)]
struct Written {
    kty: String,
    #[serde(rename = "use")]
    used_for: Option<String>,
    key_ops: Option<Vec<String>>,
    kid: Option<String>,
    alg: Option<String>,
    crv: Option<String>,
    n: Option<String>,
    e: Option<String>,
    x: Option<String>,
    y: Option<String>,
}

impl Written {
    fn usable(&self) -> Option<Key> {
        let is_for_signatures = self.used_for.as_deref().is_none_or(|used| used == "sig");
        let verifies = |operations: &Vec<String>| operations.iter().any(|op| op == "verify");
        if !is_for_signatures || !self.key_ops.as_ref().is_none_or(verifies) {
            return None;
        }
        let algorithm = match &self.alg {
            Some(name) => Some(Algorithm::find(name)?),
            None => None,
        };
        Some(Key { id: self.kid.clone(), algorithm, public: self.public()? })
    }

    fn public(&self) -> Option<Public> {
        match (self.kty.as_str(), self.crv.as_deref()) {
            ("RSA", _) => {
                let modulus = decode(&self.n)?;
                // Not all writers leave leading zeros out, as they should.
                let zeros = modulus.iter().take_while(|byte| **byte == 0).count();
                let modulus = modulus.get(zeros..)?.to_vec();
                let exponent = decode(&self.e)?;
                MODULUS.contains(&modulus.len()).then_some(Public::Rsa { modulus, exponent })
            }
            ("EC", Some("P-256")) => self.point(32).map(Public::P256),
            ("EC", Some("P-384")) => self.point(48).map(Public::P384),
            ("OKP", Some("Ed25519")) => {
                decode(&self.x).filter(|key| key.len() == 32).map(Public::Ed25519)
            }
            _ => None,
        }
    }

    fn point(&self, length: usize) -> Option<Vec<u8>> {
        let [x, y] = [decode(&self.x)?, decode(&self.y)?];
        (x.len() == length && y.len() == length).then(|| [&[4][..], &x, &y].concat())
    }
}

fn decode(text: &Option<String>) -> Option<Vec<u8>> {
    URL_SAFE_NO_PAD.decode(text.as_ref()?).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Of RFC 8037, appendix A.2.
    const ED: &str = r#"{"kty":"OKP","crv":"Ed25519","kid":"a",
        "x":"11qYAYKxCrfVS_7TyWQHOg7hcvPapiMlrwIaaPcHURo"}"#;
    /// Of RFC 8037, appendix A.4.
    const SIGNED: &str = "eyJhbGciOiJFZERTQSJ9.RXhhbXBsZSBvZiBFZDI1NTE5IHNpZ25pbmc";
    const BY: &str =
        "hgyY0il_MGCjP0JzlnLWG1PPOt7-09PGcvMg3AIbQR6dWbhijcNR4ki4iylGjg5BhVsPt9g7sVvpAr_MuM0KAg";

    fn check(text: &str, expected: Result<usize, &str>) {
        let found = Keys::read(text).map(|keys| keys.0.len());
        match (&found, expected) {
            (Ok(found), Ok(expected)) => assert_eq!(*found, expected, "{text}"),
            (Err(found), Err(expected)) => assert!(found.contains(expected), "{text}: {found}"),
            _ => panic!("{text}: {found:?}"),
        }
    }

    #[test]
    fn reads_the_keys_that_can_be_used() {
        let set = |keys: &[&str]| format!("{{\"keys\":[{}]}}", keys.join(","));
        let secret = r#"{"kty":"oct","k":"c2VjcmV0","alg":"HS256"}"#;
        let new = r#"{"kty":"AKP","alg":"ML-DSA-44","pub":"AA"}"#;
        let short = r#"{"kty":"RSA","n":"AQAB","e":"AQAB"}"#;
        let encrypts = ED.replace("\"kid\"", "\"use\":\"enc\",\"kid\"");
        let signs = ED.replace("\"kid\"", "\"use\":\"sig\",\"key_ops\":[\"verify\"],\"kid\"");
        check(&set(&[ED, secret, new, short, &encrypts, &signs]), Ok(2));
        let odd = ED.replace("\"kid\"", "\"use\":[\"sig\"],\"kid\"");
        check(&set(&["{}", "7", "null", "[]", &odd, "{\"kty\":7}", ED]), Ok(1));
        check(&set(&["{}", &odd]), Err("no public key that can be used"));
        check(&set(&[secret, new, short, &encrypts]), Err("no public key that can be used"));
        check(&set(&[&ED.replace("\"kid\"", "\"alg\":\"HS256\",\"kid\"")]), Err("no public key"));
        check(&set(&[&ED.replace("11qY", "")]), Err("no public key"));
        check(&set(&[ED; MOST_KEYS]), Ok(MOST_KEYS));
        check(&set(&[ED; MOST_KEYS + 1]), Err("has more than 64 keys"));
        let only_signs = ED.replace("\"kid\"", "\"key_ops\":[\"sign\"],\"kid\"");
        check(&set(&[&only_signs]), Err("no public key"));
        let rsa = |bytes: &[u8]| {
            format!(r#"{{"kty":"RSA","n":"{}","e":"AQAB"}}"#, URL_SAFE_NO_PAD.encode(bytes))
        };
        check(&set(&[&rsa(&[0x80; 256]), &rsa(&[&[0][..], &[0x80; 256]].concat())]), Ok(2));
        // Zeros before it make no key longer.
        check(&set(&[&rsa(&[&[0][..], &[0x80; 255]].concat())]), Err("no public key"));
        let point = |x: usize, y: usize| {
            let [x, y] = [x, y].map(|length| URL_SAFE_NO_PAD.encode(vec![1; length]));
            format!(r#"{{"kty":"EC","crv":"P-256","x":"{x}","y":"{y}"}}"#)
        };
        check(&set(&[&point(32, 32)]), Ok(1));
        check(&set(&[&point(31, 33), &point(32, 31)]), Err("no public key"));
        check("{\"keys\":[]}", Err("no public key"));
        check("[]", Err("is no set of keys (JWKS), line 1"));
        check("-----BEGIN PUBLIC KEY-----", Err("is no set of keys"));
    }

    #[test]
    fn a_token_that_names_no_key_is_tried_by_each_of_its_kind() {
        let by = URL_SAFE_NO_PAD.decode(BY).expect("a signature");
        let verdict = |others| {
            let other = ED.replace("11qYAY", "22qYAY").replace("\"a\"", "\"b\"");
            let mut keys = vec![other; others];
            keys.push(ED.to_owned());
            let keys = Keys::read(&format!("{{\"keys\":[{}]}}", keys.join(","))).expect("keys");
            keys.verify(None, Algorithm::EdDsa, SIGNED.as_bytes(), &by)
        };
        assert_eq!(verdict(MOST_TRIED - 1), Signature::Good);
        assert_eq!(verdict(MOST_TRIED), Signature::Bad);
    }

    #[test]
    fn the_key_of_the_id_verifies() {
        let keys = Keys::read(&format!("{{\"keys\":[{ED}]}}")).expect("a key");
        let by = URL_SAFE_NO_PAD.decode(BY).expect("a signature");
        let verify = |id, algorithm| keys.verify(id, algorithm, SIGNED.as_bytes(), &by);
        assert_eq!(verify(Some("a"), Algorithm::EdDsa), Signature::Good);
        assert_eq!(verify(None, Algorithm::EdDsa), Signature::Good);
        assert_eq!(verify(Some("b"), Algorithm::EdDsa), Signature::NoKey);
        // The algorithm must be one of the key.
        assert_eq!(verify(Some("a"), Algorithm::Es256), Signature::NoKey);
        assert_eq!(verify(Some("a"), Algorithm::Rs256), Signature::NoKey);
        let other = keys.verify(Some("a"), Algorithm::EdDsa, b"other", &by);
        assert_eq!(other, Signature::Bad);
        for length in [0, 32, 63] {
            let cut = keys.verify(None, Algorithm::EdDsa, SIGNED.as_bytes(), &by[..length]);
            assert_eq!(cut, Signature::Bad);
        }
    }

    #[test]
    fn a_key_that_is_for_one_algorithm_is_for_no_other() {
        let n = URL_SAFE_NO_PAD.encode([0x80; 256]);
        let rsa = format!(r#"{{"keys":[{{"kty":"RSA","alg":"RS256","n":"{n}","e":"AQAB"}}]}}"#);
        let keys = Keys::read(&rsa).expect("a key");
        assert_eq!(keys.verify(None, Algorithm::Rs256, b"", b""), Signature::Bad);
        assert_eq!(keys.verify(None, Algorithm::Ps256, b"", b""), Signature::NoKey);
    }

    #[test]
    fn few_keys_are_tried_for_a_token_that_does_not_say_which() {
        let by = URL_SAFE_NO_PAD.decode(BY).expect("a signature");
        let other = ED.replace("11qY", "21qY").replace("\"a\"", "\"b\"");
        for (others, expected) in [(MOST_TRIED - 1, Signature::Good), (MOST_TRIED, Signature::Bad)]
        {
            let set = [vec![other.as_str(); others], vec![ED]].concat().join(",");
            let keys = Keys::read(&format!("{{\"keys\":[{set}]}}")).expect("keys");
            let verify = |id| keys.verify(id, Algorithm::EdDsa, SIGNED.as_bytes(), &by);
            assert_eq!((verify(None), verify(Some("a"))), (expected, Signature::Good));
        }
    }
}
