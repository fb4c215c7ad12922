//! A token (RFC 7519) as it was sent, and what it claims once its signature is good.

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use serde::Deserialize;
use serde_json::{Map, Value as Json};

use super::Fault;

/// The longest token, in bytes. What is longer is not decoded.
const LONGEST: usize = 16 * 1024;

/// A token of three parts.
pub(super) struct Token<'a> {
    pub(super) head: TokenHead,
    /// What is signed: the first two parts.
    pub(super) signed: &'a [u8],
    pub(super) signature: Vec<u8>,
    payload: &'a str,
}

/// What a token says of its signature; nothing of it is true by itself.
#[derive(Debug, Deserialize)]
pub(super) struct TokenHead {
    pub(super) alg: String,
    pub(super) kid: Option<String>,
    // What serde passes over it does not look at: it need not be UTF-8, say.
    // Nor does it take a list for a head that has this.
    #[serde(flatten)]
    more: Map<String, Json>,
}

impl<'a> Token<'a> {
    pub(super) fn read(text: &'a str) -> Result<Self, Fault> {
        if text.len() > LONGEST {
            return Err(Fault::Malformed);
        }
        let (signed, signature) = text.rsplit_once('.').ok_or(Fault::Malformed)?;
        let (head, payload) = signed.split_once('.').ok_or(Fault::Malformed)?;
        if payload.contains('.') {
            return Err(Fault::Malformed);
        }
        let head: TokenHead =
            serde_json::from_slice(&decode(head)?).map_err(|_| Fault::Malformed)?;
        // Extensions that must be understood are not (RFC 7515 §4.1.11).
        if ["crit", "b64"].iter().any(|name| head.more.contains_key(*name)) {
            return Err(Fault::Malformed);
        }
        Ok(Token { head, signed: signed.as_bytes(), signature: decode(signature)?, payload })
    }

    /// What it claims; of use once the signature is good.
    pub(super) fn claims(&self) -> Result<Claims, Fault> {
        let claims = serde_json::from_slice(&decode(self.payload)?);
        claims.map(Claims).map_err(|_| Fault::Malformed)
    }
}

fn decode(part: &str) -> Result<Vec<u8>, Fault> {
    URL_SAFE_NO_PAD.decode(part).map_err(|_| Fault::Malformed)
}

/// What is asked of the claims of every token.
#[derive(Debug)]
pub(super) struct Demands {
    pub(super) issuer: Option<String>,
    pub(super) audience: Option<String>,
    /// Seconds that clocks may differ.
    pub(super) leeway: f64,
}

/// What a token claims.
#[derive(Debug)]
pub(super) struct Claims(Map<String, Json>);

impl Claims {
    /// Holds the claims against the demands at a time in seconds since 1970;
    /// the time at which the token ends.
    pub(super) fn check(&self, demands: &Demands, now: f64) -> Result<f64, Fault> {
        let end = self.time("exp")?.ok_or(Fault::Claims)? + demands.leeway;
        if end <= now {
            return Err(Fault::Expired);
        }
        if self.time("nbf")?.is_some_and(|start| start - demands.leeway > now) {
            return Err(Fault::TooEarly);
        }
        let issuer = self.0.get("iss").and_then(Json::as_str);
        if demands.issuer.is_some() && issuer != demands.issuer.as_deref() {
            return Err(Fault::Issuer);
        }
        if let Some(audience) = &demands.audience
            && !self.is_for(audience)
        {
            return Err(Fault::Audience);
        }
        Ok(end)
    }

    /// The text of a claim: `sub`, or `realm.roles` of an object in an object.
    ///
    /// A list is its texts with commas; none if a comma in one would make it
    /// two, or if the claim is an object.
    pub(super) fn text(&self, path: &str) -> Option<String> {
        let claim = match self.0.get(path) {
            Some(claim) => claim,
            None => {
                let mut steps = path.split('.');
                let first = self.0.get(steps.next()?)?;
                steps.try_fold(first, |claim, step| claim.get(step))?
            }
        };
        match claim {
            Json::Array(items) => {
                let texts: Option<Vec<String>> = items.iter().map(scalar).collect();
                let texts = texts?;
                let is_one = |text: &String| !text.contains(',');
                texts.iter().all(is_one).then(|| texts.join(","))
            }
            claim => scalar(claim),
        }
    }

    fn time(&self, name: &str) -> Result<Option<f64>, Fault> {
        match self.0.get(name) {
            None => Ok(None),
            Some(time) => time.as_f64().map(Some).ok_or(Fault::Claims),
        }
    }

    fn is_for(&self, audience: &str) -> bool {
        match self.0.get("aud") {
            Some(Json::String(one)) => one == audience,
            Some(Json::Array(some)) => some.iter().any(|one| one.as_str() == Some(audience)),
            _ => false,
        }
    }
}

fn scalar(value: &Json) -> Option<String> {
    match value {
        Json::String(text) => Some(text.clone()),
        Json::Number(_) | Json::Bool(_) => Some(value.to_string()),
        Json::Null | Json::Array(_) | Json::Object(_) => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const NOW: f64 = 1_000_000.0;

    fn claims(json: &str) -> Claims {
        Claims(serde_json::from_str(json).expect("an object"))
    }

    #[track_caller]
    fn check(json: &str, expected: Result<f64, Fault>) {
        let demands = Demands {
            issuer: Some("quay".to_owned()),
            audience: Some("ships".to_owned()),
            leeway: 30.0,
        };
        assert_eq!(claims(json).check(&demands, NOW), expected, "{json}");
    }

    #[test]
    fn every_demand_must_be_met() {
        let with = |rest: &str| format!(r#"{{"iss":"quay","aud":"ships",{rest}}}"#);
        check(&with(r#""exp":1000060"#), Ok(NOW + 90.0));
        check(&with(r#""exp":1000060.5,"nbf":999999.5,"iat":1"#), Ok(NOW + 90.5));
        check(&with(r#""exp":999971"#), Ok(NOW + 1.0));
        check(&with(r#""exp":999970"#), Err(Fault::Expired));
        check(&with(r#""exp":-1e308"#), Err(Fault::Expired));
        check(&with(r#""exp":1000060,"nbf":1000030"#), Ok(NOW + 90.0));
        check(&with(r#""exp":1000060,"nbf":1000031"#), Err(Fault::TooEarly));
        check(&with(r#""nbf":1"#), Err(Fault::Claims));
        check(&with(r#""exp":"1000060""#), Err(Fault::Claims));
        check(&with(r#""exp":null"#), Err(Fault::Claims));
        assert!(serde_json::from_str::<Json>("1e999").is_err(), "numbers are finite");
        check(&with(r#""exp":1000060,"nbf":"1""#), Err(Fault::Claims));
        check(r#"{"aud":"ships","exp":1000060}"#, Err(Fault::Issuer));
        check(r#"{"iss":"Quay","aud":"ships","exp":1000060}"#, Err(Fault::Issuer));
        check(r#"{"iss":["quay"],"aud":"ships","exp":1000060}"#, Err(Fault::Issuer));
        check(r#"{"iss":"quay","exp":1000060}"#, Err(Fault::Audience));
        check(r#"{"iss":"quay","aud":"ship","exp":1000060}"#, Err(Fault::Audience));
        check(r#"{"iss":"quay","aud":["cars","ships"],"exp":1000060}"#, Ok(NOW + 90.0));
        check(r#"{"iss":"quay","aud":[["ships"],1],"exp":1000060}"#, Err(Fault::Audience));
        let none = Demands { issuer: None, audience: None, leeway: 0.0 };
        assert_eq!(claims(r#"{"exp":1000001}"#).check(&none, NOW), Ok(NOW + 1.0));
    }

    #[test]
    fn claims_have_texts() {
        let claims = claims(
            r#"{"sub":"ann","n":7,"b":true,"a":{"b":{"c":"deep"}},"a.b":"dotted","list":["x","y"],
                "bad":["x,y"],"null":null,"mixed":["x",{}]}"#,
        );
        for (path, expected) in [
            ("sub", Some("ann")),
            ("n", Some("7")),
            ("b", Some("true")),
            ("a.b.c", Some("deep")),
            ("a.b", Some("dotted")),
            ("list", Some("x,y")),
            ("bad", None),
            ("null", None),
            ("mixed", None),
            ("a", None),
            ("sub.x", None),
            ("none", None),
            ("", None),
        ] {
            assert_eq!(claims.text(path).as_deref(), expected, "{path}");
        }
    }

    #[test]
    fn a_token_has_three_parts_and_nothing_critical() {
        let part = |text: &str| URL_SAFE_NO_PAD.encode(text);
        let latin = URL_SAFE_NO_PAD.encode(b"{\"alg\":\"ES256\",\"typ\":\"\xff\"}");
        let token = |head: &str| format!("{}.{}.{}", part(head), part("{}"), part("s"));
        let read = |text: &str| Token::read(text).map(|token| token.head.alg);
        assert_eq!(read(&token(r#"{"alg":"ES256","typ":"JWT"}"#)), Ok("ES256".to_owned()));
        for bad in [
            token("{}"),
            token("[]"),
            token(r#"{"alg":"ES256","alg":"none"}"#),
            token(r#"{"alg":"ES256","crit":["exp"]}"#),
            token(r#"{"alg":"ES256","b64":false}"#),
            token(r#"{"alg":"ES256","crit":null}"#),
            token(r#"{"alg":"ES256","b64":null}"#),
            token(r#"["ES256",null,null,null]"#),
            token(r#"["ES256",null]"#),
            token(r#"{"alg":["ES256"]}"#),
            format!("{latin}.{}.{}", part("{}"), part("s")),
            format!("{}.{}", part(r#"{"alg":"ES256"}"#), part("{}")),
            format!("{}.", token(r#"{"alg":"ES256"}"#)),
            format!("{}=", token(r#"{"alg":"ES256"}"#)),
            String::new(),
            ".".repeat(4),
            "a".repeat(LONGEST + 1),
        ] {
            assert_eq!(read(&bad), Err(Fault::Malformed), "{bad}");
        }
    }
}
