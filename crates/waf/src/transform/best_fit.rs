//! The one byte that ModSecurity takes for a code of 16 bits, `%u2019` or `\u2019`.

/// The codes from `ROWS_START` on, 32 a row, as code page 20127 (US-ASCII) fits them best;
/// `?`, to which it fits none, stands for no entry.
const ROWS: [&[u8]; 11] = [
    b" !c?$Y|??Ca<?-R???23???.,1o>????",
    b"AAAAAAACEEEEIIIIDNOOOOO?OUUUUY??",
    b"aaaaaaaceeeeiiii?nooooo?ouuuuy?y",
    b"AaAaAaCcCcCcCcDdDdEeEeEeEeEeGgGg",
    b"GgGgHhHhIiIiIiIiIi??JjKk?LlLlLl?",
    b"?LlNnNnNn???OoOoOoOoRrRrRrSsSsSs",
    b"SsTtTtTtUuUuUuUuUuUuWwYyYZ?ZzZz?",
    b"b????????D???????Ff????I??l????O",
    b"Oo?????????t??TUu?????z?????????",
    b"?????????????AaIiOoUuUuUuUuUu?Aa",
    b"????GgGgKkOoOo??j???????????????",
];

const ROWS_START: usize = 0xa0;

const ROW: usize = 32;

/// Where `%uXXXX` takes its byte from: `SecUnicodeMapFile unicode.mapping 20127`, or none.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub enum UnicodeMap {
    /// Code page 20127, as ModSecurity's recommended configuration has it.
    #[default]
    UsAscii,
    /// No map: the low byte, as ModSecurity takes it without `SecUnicodeMapFile`.
    Unset,
}

impl UnicodeMap {
    pub(super) fn fit(self, code: u16) -> u8 {
        match self {
            UnicodeMap::UsAscii => best_fit(code).unwrap_or_else(|| narrow(code)),
            UnicodeMap::Unset => narrow(code),
        }
    }
}

/// The low byte of a code; of a full-width one (U+FF01 to U+FF5E) the ASCII it shows.
pub(super) fn narrow(code: u16) -> u8 {
    let [high, low] = code.to_be_bytes();
    match (high, low) {
        (0xff, 0x01..=0x5e) => low + 0x20,
        _ => low,
    }
}

fn best_fit(code: u16) -> Option<u8> {
    let at = usize::from(code).checked_sub(ROWS_START)?;
    match ROWS.get(at / ROW) {
        Some(row) => row.get(at % ROW).copied().filter(|&byte| byte != b'?'),
        None => best_fit_beyond(code),
    }
}

fn best_fit_beyond(code: u16) -> Option<u8> {
    let byte = match code {
        0x2000..=0x2006 => b' ',
        0x02ba | 0x030e | 0x201c..=0x201e => b'"',
        0x02b9 | 0x02bc | 0x02c8 | 0x2018 | 0x2019 | 0x2032 => b'\'',
        0x201a => b',',
        0x2010 | 0x2011 | 0x2013 | 0x2014 => b'-',
        0x2022 | 0x2026 => b'.',
        0x2039 => b'<',
        0x203a => b'>',
        0x2122 => b'T',
        0x02c4 | 0x02c6 | 0x0302 => b'^',
        0x02cd | 0x0331 | 0x0332 => b'_',
        0x02cb | 0x0300 | 0x2035 => b'`',
        0x0261 => b'g',
        0x02dc | 0x0303 => b'~',
        _ => return None,
    };
    Some(byte)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(code: u16, expected: u8) {
        assert_eq!(UnicodeMap::UsAscii.fit(code), expected, "U+{code:04X}");
    }

    #[test]
    fn codes_are_fitted_as_by_code_page_20127() {
        for (code, byte) in [(0x00a0, b' '), (0x00bb, b'>'), (0x00ff, b'y'), (0x0100, b'A')] {
            check(code, byte);
        }
        for (code, byte) in [(0x017e, b'z'), (0x0192, b'f'), (0x01b6, b'z'), (0x01f0, b'j')] {
            check(code, byte);
        }
        for (code, byte) in [(0x2019, b'\''), (0x2039, b'<'), (0xff1c, b'<'), (0xff5e, b'~')] {
            check(code, byte);
        }
    }

    #[test]
    fn a_code_without_an_entry_gives_its_low_byte() {
        for (code, byte) in [(0x0041, 0x41), (0x00a3, 0xa3), (0x01f1, 0xf1), (0x0260, 0x60)] {
            check(code, byte);
        }
        for (code, byte) in [(0x3008, 0x08), (0xff00, 0x00), (0xff1f, b'?'), (0xff5f, 0x5f)] {
            check(code, byte);
        }
    }

    #[test]
    fn without_a_map_only_full_width_codes_are_moved() {
        assert_eq!(UnicodeMap::Unset.fit(0x2019), 0x19);
        assert_eq!(UnicodeMap::Unset.fit(0xff1c), b'<');
    }
}
