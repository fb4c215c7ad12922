//! What operators write.

use super::*;

#[test]
fn numbers_with_units() {
    drive(
        units,
        ROUNDS,
        &[
            b"250ms",
            b"5s",
            b"7d",
            b"64KiB",
            b"10MB",
            b"0",
            b"18446744073709551615",
            b"200B/s",
            b"10MiB/s",
            b"600/min",
            b"1GB/d",
            b"20%",
            b"0.5%",
            b"off",
            b"true",
            b"8443",
        ],
        &[
            b"ms",
            b"s",
            b"m",
            b"h",
            b"d",
            b"KiB",
            b"GiB",
            b"B",
            b"/s",
            b"/min",
            b"/h",
            b"%",
            b"100",
            b"1e2",
            b".5",
            b"inf",
            b"NaN",
            b"off",
            b"65536",
            b"213503982334602d",
        ],
    );
}

#[test]
fn lists_of_networks() {
    drive(
        networks,
        ROUNDS,
        &[
            b"10.0.0.0/8\n192.0.2.1 # one\r\n\n# none\n2001:db8::/32\n::1",
            b"\xef\xbb\xbf0.0.0.0/0\n::/0\n",
            b"10.0.0.0/9\n10.128.0.0/9\n11.0.0.0/8\n255.255.255.255\n",
            b"::ffff:10.0.0.0/104\n::ffff:0:0/96\n::ffff:192.0.2.1\n",
            b"8000::/1\n::/1\nffff:ffff:ffff:ffff:ffff:ffff:ffff:ffff/128",
            b"",
        ],
        &[
            b"/0",
            b"/8",
            b"/08",
            b"/+8",
            b"/32",
            b"/33",
            b"/128",
            b"/129",
            b"/104",
            b"\n",
            b"\r\n",
            b"#",
            b"::ffff:",
            b"10.0.0.0",
            b"ff00::/8",
            b"0.0.0.0/1\n",
            b"128.0.0.0/1\n",
            b"010.0.0.1",
            b"fe80::1%eth0",
        ],
    );
}
