//! Keeps well-known secrets in query strings out of the logs.
//!
//! A link that carries a token is a password on its way into every log it
//! passes. The value of a parameter named below is shown as `***`, in the
//! path, the query and the referer; so is that of a parameter whose name the operator
//! gave to a secret of theirs, and of one with such a name in it: `user[password]`.

use std::borrow::Cow;

const MASK: &[u8] = b"***";

/// Names of parameters whose value is never shown.
///
/// In lower case and with `_` for `-`, as names are folded before the look-up.
const SECRETS: [&[u8]; 41] = [
    b"access_key",
    b"access_token",
    b"api_key",
    b"api_token",
    b"apikey",
    b"auth",
    b"auth_token",
    b"authorization",
    b"card_number",
    b"cardnumber",
    b"cc_number",
    b"ccnumber",
    b"client_secret",
    b"code",
    b"cvc",
    b"cvc2",
    b"cvv",
    b"cvv2",
    b"iban",
    b"id_token",
    b"jsessionid",
    b"jwt",
    b"otp",
    b"pass",
    b"passwd",
    b"password",
    b"phpsessid",
    b"pwd",
    b"refresh_token",
    b"secret",
    b"session",
    b"session_id",
    b"sessionid",
    b"sid",
    b"sig",
    b"signature",
    b"ssn",
    b"token",
    b"x_amz_security_token",
    b"x_amz_signature",
    b"x_goog_signature",
];

const LONGEST: usize = 20;

/// What names of secrets hold that nobody can list, in lower case: `newPassword`.
const TELLING: [&[u8]; 10] = [
    b"passw",
    b"passphrase",
    b"pwd",
    b"secret",
    b"token",
    b"apikey",
    b"api_key",
    b"credential",
    b"card_number",
    b"cardnumber",
];

/// Hands out `text` in pieces, with a mask in place of every secret value; `own`
/// are names of secrets besides those that are well known.
///
/// Works on a query as on a whole URL. A name counts after any separator a
/// server may know, a value ends only where every server ends it, so a secret
/// with a `;` in it is masked whole.
pub(super) fn mask<'t>(text: &'t [u8], own: &[String], mut put: impl FnMut(&'t [u8])) {
    let mut rest = text;
    let mut harmless = 0; // So much of `rest` may be shown.
    while let Some(at) = memchr::memchr(b'=', &rest[harmless..]) {
        harmless += at + 1;
        let (named, value) = rest.split_at(harmless);
        if !ends_with_secret_name(named, own) {
            continue;
        }
        put(named);
        put(MASK);
        let end = value.iter().position(|byte| b"&#".contains(byte)).unwrap_or(value.len());
        rest = &value[end..];
        harmless = 0;
    }
    put(rest);
}

/// Whether `named` ends with `NAME=` after a separator, and NAME is a secret's.
fn ends_with_secret_name(named: &[u8], own: &[String]) -> bool {
    let name = named.strip_suffix(b"=").unwrap_or(named);
    let name = name.rsplit(|byte| b"&;?#=".contains(byte)).next();
    name.is_some_and(|name| is_of_secret(name, own))
}

/// Whether a name as it was written, or what servers take for an element of it, is that of a
/// secret: `pwd`, `user[pwd]`, `user%5Bpwd%5D`, `user.pwd`.
fn is_of_secret(name: &[u8], own: &[String]) -> bool {
    let name: Cow<'_, [u8]> = percent_encoding::percent_decode(name).into();
    let mut elements = name.split(|byte| b"[].".contains(byte));
    let is_own = |element: &[u8]| own.iter().any(|own| own.as_bytes() == element);
    is_own(&name) || elements.any(|element| is_secret(element) || is_own(element))
}

/// Whether a name, or a part of it, is that of a secret: `user[password]`, `X-Api-Key`.
pub(super) fn in_name(name: &[u8], own: &[String]) -> bool {
    let mut parts = name.split(|byte| b".[]:/".contains(byte));
    let is_in = |part: &[u8]| {
        // A field's name ends with what it is: `Proxy-Authorization`.
        let dashes = memchr::memchr_iter(b'-', part);
        let mut ends = dashes.map(|at| part.get(at + 1..).unwrap_or_default());
        is_secret(part) || ends.any(is_secret)
    };
    parts.any(is_in) || own.iter().any(|own| is_named(name, own)) || telling(name).is_some()
}

/// Where the first secret of a text begins that may be of any form: right behind its name.
pub(super) fn find(text: &[u8], own: &[String]) -> Option<usize> {
    let separators = text.iter().enumerate().filter(|(_, byte)| b"=:>".contains(byte));
    let mut named = separators.map(|(at, _)| at).filter(|at| {
        let before = text.get(..*at).unwrap_or_default().trim_ascii_end();
        let quotes = before.iter().rev().take_while(|byte| b"\"'\\]".contains(byte)).count();
        let before = before.get(..before.len() - quotes).unwrap_or_default();
        let is_of_name = |byte: &&u8| byte.is_ascii_alphanumeric() || b"_-%".contains(byte);
        let length = before.iter().rev().take_while(is_of_name).count();
        let name = before.get(before.len() - length..).unwrap_or_default();
        is_of_secret(name, own)
    });
    let named = named.next().map(|at| at + 1);
    named.into_iter().chain(telling(text)).min()
}

/// Where the first secret begins that JSON within a text holds, or a query of
/// GraphQL: behind a name in quotes, or before a value in quotes.
pub(super) fn find_in_json(text: &[u8], own: &[String]) -> Option<usize> {
    let is_quote = |byte: &u8| b"\"'".contains(byte);
    let is_open = |byte: &&u8| b"\\ \t\r\n".contains(byte);
    memchr::memchr_iter(b':', text).map(|at| at + 1).find(|start| {
        let (named, value) = text.split_at(*start);
        let named = named.strip_suffix(b":").unwrap_or(named).trim_ascii_end();
        let is_value_quoted = value.iter().find(|byte| !is_open(byte)).is_some_and(is_quote);
        let quotes = named.iter().rev().take_while(|byte| b"\"'\\".contains(byte)).count();
        let name = named.get(..named.len() - quotes).unwrap_or_default();
        let is_of_name = |byte: &&u8| byte.is_ascii_alphanumeric() || b"_-".contains(byte);
        let length = name.iter().rev().take_while(is_of_name).count();
        let name = name.get(name.len() - length..).unwrap_or_default();
        (quotes > 0 || is_value_quoted) && in_name(name, own)
    })
}

/// Where the first word ends that tells of a secret.
fn telling(text: &[u8]) -> Option<usize> {
    let ends = TELLING.iter().filter_map(|word| {
        let mut windows = text.windows(word.len());
        windows.position(|found| is_word(found, word)).map(|at| at + word.len())
    });
    ends.min()
}

fn is_word(found: &[u8], word: &[u8]) -> bool {
    let folded = |byte: &u8| if *byte == b'-' { b'_' } else { byte.to_ascii_lowercase() };
    found.iter().map(folded).eq(word.iter().copied())
}

fn is_named(name: &[u8], own: &str) -> bool {
    percent_encoding::percent_decode(name).eq(own.bytes())
}

fn is_secret(name: &[u8]) -> bool {
    let mut folded = [0; LONGEST];
    let mut length = 0;
    for byte in percent_encoding::percent_decode(name) {
        let Some(place) = folded.get_mut(length) else { return false };
        *place = if byte == b'-' { b'_' } else { byte.to_ascii_lowercase() };
        length += 1;
    }
    SECRETS.contains(&&folded[..length])
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(text: &str, expected: &str) {
        let mut masked = Vec::new();
        mask(text.as_bytes(), &["a-name-of-ours-that-is-long".to_owned()], |piece| {
            masked.extend_from_slice(piece)
        });
        assert_eq!(String::from_utf8(masked).expect("text"), expected);
    }

    #[test]
    fn masks_secret_values_and_nothing_else() {
        check("", "");
        check("q=tide&page=2", "q=tide&page=2");
        check("token=abc", "token=***");
        check("a=1&token=abc&b=2", "a=1&token=***&b=2");
        check("token=", "token=***");
        check("token", "token");
        check("tokens=3&mytoken=x", "tokens=3&mytoken=x");
        check("Access-Token=abc", "Access-Token=***");
        check("X-Amz-Security-Token=abc", "X-Amz-Security-Token=***");
        check("card-number=4111&CVV=1&cvc2=2", "card-number=***&CVV=***&cvc2=***");
        check("iban=DE02&ssn=1&card[cardNumber]=3", "iban=***&ssn=***&card[cardNumber]=***");
        check("ibans=2&assn=x&caliban=y&cvs=z", "ibans=2&assn=x&caliban=y&cvs=z");
        check("a=1;password=x", "a=1;password=***");
        check("=&&==", "=&&==");
        check("a-name-of-ours-that-is-long=x&b", "a-name-of-ours-that-is-long=***&b");
        check("%61-name-of-ours-that-is-long=x", "%61-name-of-ours-that-is-long=***");
    }

    #[test]
    fn masks_what_is_an_element_of_something() {
        check("user[pwd]=abc&x=1", "user[pwd]=***&x=1");
        check("user%5Bpwd%5D=abc", "user%5Bpwd%5D=***");
        check(
            "login[user][password]=x&login[user][name]=y",
            "login[user][password]=***&login[user][name]=y",
        );
        check("user%5bname%5d=x", "user%5bname%5d=x");
        check("password[]=a&password[0]=b", "password[]=***&password[0]=***");
        check("user.password=x&a.b=c", "user.password=***&a.b=c");
        check("f[a-name-of-ours-that-is-long]=x", "f[a-name-of-ours-that-is-long]=***");
        check("f[mypwds]=x&[=&]=&[]=", "f[mypwds]=x&[=&]=&[]=");
        check("/a?q[%74oken]=x#y", "/a?q[%74oken]=***#y");
        check("token.png?v=2", "token.png?v=2");
    }

    #[test]
    fn masks_values_whole() {
        check("token=a;b?c=d&e=f", "token=***&e=f");
        check("token=a==&e=f", "token=***&e=f");
    }

    #[test]
    fn sees_through_percent_encoding_of_names() {
        check("%74oken=abc", "%74oken=***");
        check("api%5Fkey=abc", "api%5Fkey=***");
    }

    #[test]
    fn masks_in_whole_urls() {
        check("https://a.example/cb?code=1&state=2#x", "https://a.example/cb?code=***&state=2#x");
        check("https://a.example/#access_token=1", "https://a.example/#access_token=***");
        check("/x;jsessionid=1", "/x;jsessionid=***");
        check("/x;v=2/token=1", "/x;v=2/token=1");
        check("https://a.example/x;jsessionid=1?y=2", "https://a.example/x;jsessionid=***");
    }

    #[test]
    fn every_name_fits_and_is_folded() {
        for name in SECRETS {
            assert!(name.len() <= LONGEST && is_secret(name), "{}", name.escape_ascii());
        }
        assert_eq!(SECRETS.map(<[u8]>::len).into_iter().max(), Some(LONGEST));
    }
}
