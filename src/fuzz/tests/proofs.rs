//! What is signed, and what is said in Cookie.

use super::*;

#[test]
fn signed_links() {
    drive(
        signed_link,
        2_000,
        &[
            b"GET /a.mp4?exp=1800000000&sig=\x01",
            b"GET /a?sig=\x01&x=1&exp=1900000000&y=%26&&z",
            b"HEAD /?exp=01800000001&sig=\x01=",
            b"POST /f?s%69g=\x01&e%78p=9999999999&a+b",
        ],
        &[
            b"sig=",
            b"&sig=\x01",
            b"\x01",
            b"exp=1800000000",
            b"exp=1799999999",
            b"%73ig=",
            b"+1800000000",
            b"e%78p",
            b"&",
            b"HEAD ",
            b"&x",
            b"\x01=",
        ],
    );
}

#[test]
fn tokens() {
    drive(
        jwt,
        400,
        &[
            b"\x01",
            b"\x05",
            b"\x02.\x03.\x04",
            b" \x06.\x07.\x08",
            b"{\"alg\":\"EdDSA\"}\n{\"iss\":\"quay\",\"aud\":\"ships\",\"exp\":4102444800}",
            b"{\"alg\":\"Ed25519\",\"kid\":\"a\",\"typ\":\"JWT\"}\n{\"sub\":\"ann\",\"iss\":\"quay\",\"aud\":[\"cars\",\"ships\"],\"nbf\":1,\"exp\":4102444800}",
            b"{\"kid\":null,\"alg\":\"EdDSA\"}\n{\"iss\":\"quay\",\"aud\":\"ships\",\"sub\":[\"a\",\"b\"],\"exp\":4102444800.5}",
        ],
        &[
            b".",
            b"\x02",
            b"\x03",
            b"\x04",
            b"\x06",
            b"\"alg\":\"none\"",
            b"\"alg\":\"HS256\"",
            b"\"alg\":\"ES256\"",
            b"\"kid\":\"b\"",
            b"\"crit\":[\"exp\"],",
            b"\"b64\":false,",
            b"\"crit\":null,",
            b"\"exp\":1,",
            b"\"exp\":1e400",
            b"\"nbf\":4102444800,",
            b"\"aud\":[\"ships\"],",
            b"\"iss\":\"Quay\",",
            b"\"sub\":\"\\u00e9\"",
        ],
    );
}

#[test]
fn challenges() {
    drive(
        challenge,
        400,
        &[
            b"tg_pass=\x01",
            b"a=b; __Host-tg_pass=\x02;c=d",
            b"tg_pass=\x03; tg_pass=\x04; tg_pass=\x05; tg_pass=\x01",
            b"a=b\n\x0800000007",
            b"\n\x080000000a",
        ],
        &[
            b"tg_pass=",
            b"__Host-tg_pass=",
            b"; ",
            b"\x01",
            b"\x02",
            b"\x03",
            b"\x04",
            b"\x05",
            b"\x06",
            b"\x07",
            b"\x08",
            b"\n",
            b"0000000d",
            b"0000000D",
            b"00000001",
        ],
    );
}

#[test]
fn cookies() {
    drive(
        cookie,
        ROUNDS,
        &[
            b"id\nid=a",
            b"id\nxid=c; id=a;id=b",
            b"a\nb=1\na=2; tg_pass=3",
            b"id\n\tid=\"a b\" ;;\nx",
            b"tg_pass\na=b; __Host-tg_pass=1; tg_pass=2",
        ],
        &[
            b"id=",
            b"id",
            b"=",
            b"==",
            b"; ",
            b";",
            b"\t",
            b"\n",
            b"tg_pass=",
            b"__Host-",
            b"ID=a",
            b"id =",
        ],
    );
}

#[test]
fn the_head_of_a_token_is_text_throughout() {
    let claims = "{\"iss\":\"quay\",\"aud\":\"ships\",\"exp\":4102444800}";
    for (head, expected) in [
        (&b"{\"alg\":\"EdDSA\",\"typ\":\"JWT\"}"[..], true),
        (b"{\"alg\":\"EdDSA\",\"typ\":\"\xff~T\"}", false),
        (b"{\"alg\":\"EdDSA\",\"x\":1e999}", false),
        (b"{\"alg\":\"EdDSA\",\"x\":\"\\ud800\"}", false),
        (b"{\"alg\":\"EdDSA\",\"crit\":null}", false),
    ] {
        let token = [head, b"\n", claims.as_bytes()].concat();
        assert_eq!(jwt(&token), expected, "{}", token.escape_ascii());
    }
}
