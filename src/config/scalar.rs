//! What a plain scalar is in the core schema of YAML 1.2 (§10.3.2).

use super::tree::Scalar;

/// A scalar's own kind, before it is known what is wanted.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) enum Core {
    Nothing,
    Bool(bool),
    Integer(i128),
    Float(f64),
    Text,
}

impl Core {
    pub(super) fn of(scalar: &Scalar) -> Self {
        if scalar.quoted { Core::Text } else { Core::of_plain(&scalar.text) }
    }

    pub(super) fn of_plain(text: &str) -> Self {
        match text {
            "" | "~" | "null" | "Null" | "NULL" => Core::Nothing,
            "true" | "True" | "TRUE" => Core::Bool(true),
            "false" | "False" | "FALSE" => Core::Bool(false),
            text => integer(text)
                .map(Core::Integer)
                .or_else(|| float(text).map(Core::Float))
                .unwrap_or(Core::Text),
        }
    }
}

fn integer(text: &str) -> Option<i128> {
    let digits = |rest: &str, radix| {
        let all = rest.chars().all(|c| c.is_digit(radix));
        i128::from_str_radix(rest, radix).ok().filter(|_| all)
    };
    if let Some(hex) = text.strip_prefix("0x") {
        return digits(hex, 16);
    }
    if let Some(octal) = text.strip_prefix("0o") {
        return digits(octal, 8);
    }
    text.parse().ok()
}

/// Infinity and "not a number" are left out: no key takes them.
fn float(text: &str) -> Option<f64> {
    let like_a_number = text.bytes().all(|b| b.is_ascii_digit() || b"+-.eE".contains(&b));
    text.parse().ok().filter(|number: &f64| like_a_number && number.is_finite())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(text: &str, expected: Core) {
        assert_eq!(Core::of_plain(text), expected, "{text}");
    }

    #[test]
    fn plain_scalars_are_read_by_yaml_1_2() {
        for nothing in ["", "~", "null"] {
            check(nothing, Core::Nothing);
        }
        check("true", Core::Bool(true));
        check("False", Core::Bool(false));
        check("007", Core::Integer(7));
        check("-5", Core::Integer(-5));
        check("0x1F", Core::Integer(31));
        check("0o17", Core::Integer(15));
        check("1.2", Core::Float(1.2));
        check("1e3", Core::Float(1000.0));
        for text in ["on", "off", "yes", "no", "1_000", "10.0.0.1", "0x", "0x+1", "inf", ".nan"] {
            check(text, Core::Text);
        }
        check("1e999", Core::Text);
    }
}
