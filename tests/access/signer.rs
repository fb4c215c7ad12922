//! Who signs tokens in tests.

use std::sync::Arc;
use std::time::{SystemTime, UNIX_EPOCH};

use aws_lc_rs::encoding::AsDer as _;
use aws_lc_rs::rand::SystemRandom;
use aws_lc_rs::rsa::KeySize;
use aws_lc_rs::signature::{
    ECDSA_P256_SHA256_FIXED_SIGNING, ECDSA_P384_SHA384_FIXED_SIGNING, EcdsaKeyPair, Ed25519KeyPair,
    KeyPair as _, RSA_PKCS1_SHA256, RSA_PKCS1_SHA384, RSA_PKCS1_SHA512, RSA_PSS_SHA256,
    RSA_PSS_SHA384, RSA_PSS_SHA512, RsaKeyPair,
};
use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use serde_json::{Value as Json, json};

/// A key with its id.
#[derive(Clone)]
pub(super) struct Signer {
    id: &'static str,
    key: Arc<Key>,
}

enum Key {
    Rsa(RsaKeyPair),
    Ec(EcdsaKeyPair, &'static str),
    Ed(Ed25519KeyPair),
}

impl Signer {
    /// A new key, for signatures by `algorithm` and others of its kind.
    pub(super) fn new(id: &'static str, algorithm: &str) -> Signer {
        let ec = |curve, name| Key::Ec(EcdsaKeyPair::generate(curve).unwrap(), name);
        let key = match algorithm {
            "ES256" => ec(&ECDSA_P256_SHA256_FIXED_SIGNING, "P-256"),
            "ES384" => ec(&ECDSA_P384_SHA384_FIXED_SIGNING, "P-384"),
            "EdDSA" => Key::Ed(Ed25519KeyPair::generate().unwrap()),
            _ => Key::Rsa(RsaKeyPair::generate(KeySize::Rsa2048).unwrap()),
        };
        Signer { id, key: Arc::new(key) }
    }

    /// A token of these claims.
    pub(super) fn sign(&self, algorithm: &str, claims: &Json) -> String {
        self.sign_as(&json!({ "alg": algorithm, "kid": self.id, "typ": "JWT" }), algorithm, claims)
    }

    /// A token with any head.
    pub(super) fn sign_as(&self, head: &Json, algorithm: &str, claims: &Json) -> String {
        let signed = format!("{}.{}", part(head.to_string()), part(claims.to_string()));
        let signature = self.signature(algorithm, signed.as_bytes());
        format!("{signed}.{}", part(signature))
    }

    fn signature(&self, algorithm: &str, message: &[u8]) -> Vec<u8> {
        let random = SystemRandom::new();
        match &*self.key {
            Key::Rsa(key) => {
                let padding: &dyn aws_lc_rs::signature::RsaEncoding = match algorithm {
                    "RS256" => &RSA_PKCS1_SHA256,
                    "RS384" => &RSA_PKCS1_SHA384,
                    "RS512" => &RSA_PKCS1_SHA512,
                    "PS256" => &RSA_PSS_SHA256,
                    "PS384" => &RSA_PSS_SHA384,
                    "PS512" => &RSA_PSS_SHA512,
                    other => panic!("no algorithm of RSA: {other}"),
                };
                let mut signature = vec![0; key.public_modulus_len()];
                key.sign(padding, &random, message, &mut signature).unwrap();
                signature
            }
            Key::Ec(key, _) => key.sign(&random, message).unwrap().as_ref().to_vec(),
            Key::Ed(key) => key.sign(message).as_ref().to_vec(),
        }
    }

    /// The public half, as a set of keys has it.
    pub(super) fn public(&self) -> Json {
        match &*self.key {
            Key::Rsa(key) => {
                // An RSAPublicKey of 2048 bits: two lengths, 257 bytes, and 65537.
                let der = key.public_key().as_ref();
                let (modulus, exponent) = (&der[9..265], &der[267..]);
                json!({ "kty": "RSA", "kid": self.id, "use": "sig",
                        "n": part(modulus), "e": part(exponent) })
            }
            Key::Ec(key, curve) => {
                let point = &key.public_key().as_ref()[1..];
                let (x, y) = point.split_at(point.len() / 2);
                json!({ "kty": "EC", "kid": self.id, "crv": curve, "x": part(x), "y": part(y) })
            }
            Key::Ed(key) => {
                let x = part(key.public_key().as_ref());
                json!({ "kty": "OKP", "kid": self.id, "crv": "Ed25519", "x": x })
            }
        }
    }

    /// The public half in DER: what a confused verifier would take for a secret.
    pub(super) fn public_der(&self) -> Vec<u8> {
        match &*self.key {
            Key::Rsa(key) => key.public_key().as_der().unwrap().as_ref().to_vec(),
            Key::Ec(key, _) => key.public_key().as_ref().to_vec(),
            Key::Ed(key) => key.public_key().as_ref().to_vec(),
        }
    }
}

/// A set of the public halves.
pub(super) fn key_set(signers: &[&Signer]) -> String {
    json!({ "keys": signers.iter().map(|signer| signer.public()).collect::<Vec<_>>() }).to_string()
}

/// A part of a token.
pub(super) fn part(bytes: impl AsRef<[u8]>) -> String {
    URL_SAFE_NO_PAD.encode(bytes)
}

/// Now, and so many seconds more.
pub(super) fn after(seconds: i64) -> i64 {
    SystemTime::now().duration_since(UNIX_EPOCH).unwrap().as_secs() as i64 + seconds
}
