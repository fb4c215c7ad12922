//! What servers say about keeping their answers.

use super::*;

#[test]
fn responses() {
    drive(
        cached,
        ROUNDS / 4,
        &[
            b"200\naccept: x\n\ncache-control: max-age=60\netag: \"a\"",
            b"200\nauthorization: Basic x\n\n\
              cache-control: public, max-age=\"60\", no-cache=\"set-cookie\",\
               private=\"x-a\"\nset-cookie: a=1\nx-a: 1",
            b"404\n\nexpires: Thursday, 18-Aug-50 02:01:18 GMT\n\
              date: Fri, 27 Nov 2026 00:00:00 GMT\nage: 7, 8",
            b"301\ncache-control: max-age=5, min-fresh=6, max-stale\n\n\
              cdn-cache-control: max-age=60;a=b, must-revalidate\nlocation: //a.example/x?y#z",
            b"200\nif-none-match: W/\"a\", \"b\"\n\
              if-modified-since: Sun Nov  6 08:49:37 1994\nif-range: \"a\"\n\ns-maxage=1\n\
              last-modified: Sun, 06 Nov 1994 08:49:37 GMT\nvary: Accept-Encoding, x-a\n\
              no-vary-search: params, except=(\"a\"), key-order",
            b"599\naccept-language: en;q=0.5, de\naccept-encoding: gzip;q=0, *\n\n\
              cache-control: s-maxage=60, stale-while-revalidate=5, stale-if-error=6,\
               must-understand=1\ncache-groups: \"a\";x, \"b\"\nsurrogate-key: a b\n\
              connection: x-a, age",
        ],
        &[
            b"no-store",
            b"no-cache",
            b"private",
            b", ",
            b"=",
            b"\"",
            b"max-age=",
            b"max-age=1, ",
            b"s-maxage=x",
            b"must-understand",
            b"99999999999999999999",
            b"\nvary: *",
            b"\nvary: a",
            b"\nage: 60",
            b"\nexpires: 0",
            b"\ncdn-cache-control: ",
            b"\nset-cookie: a=1",
            b"\npragma: no-cache",
            b"\n\n",
            b"W/",
            b"?0",
            b"-1",
        ],
    );
}
