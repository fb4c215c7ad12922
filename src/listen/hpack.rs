//! Counts the fields of a header block before anybody decodes it.
//!
//! A field takes one byte of a block, and a good deal of work from then on: where
//! the names of many have the same hash, each is compared with all before it.

/// Follows a header block (RFC 7541 §6) in whatever pieces it comes.
#[derive(Debug, Default)]
pub(super) struct Fields {
    count: usize,
    at: At,
    // Of the field that has begun.
    strings: u8,
}

/// What comes next.
#[derive(Debug, Default, Clone, Copy)]
enum At {
    /// The first byte of a field.
    #[default]
    Field,
    /// More of an index or of a size (RFC 7541 §5.1), which nobody needs here.
    Index,
    /// The length of a string (RFC 7541 §5.2).
    Length,
    /// More of that, and what there was of it.
    MoreLength { so_far: u32, shift: u32 },
    /// So much of a string.
    String(u32),
}

/// Longer strings are none that anybody takes; nor do their lengths fit.
const MOST_SHIFT: u32 = 21;

impl Fields {
    /// How many have begun in this block so far.
    pub(super) fn count(&self) -> usize {
        self.count
    }

    /// Looks at what comes next of the block.
    pub(super) fn follow(&mut self, mut bytes: &[u8]) {
        while let Some((first, rest)) = bytes.split_first() {
            if let At::String(left) = self.at {
                let come = bytes.len().min(left as usize);
                bytes = bytes.get(come..).unwrap_or_default();
                self.begin_string(left - come as u32);
            } else {
                bytes = rest;
                self.take(*first);
            }
        }
    }

    fn take(&mut self, byte: u8) {
        let goes_on = byte & 0x80 != 0;
        match self.at {
            At::Field => self.begin_field(byte),
            At::Index if goes_on => {}
            At::Index => self.after_index(),
            At::Length if byte & 0x7f == 0x7f => {
                self.at = At::MoreLength { so_far: 0x7f, shift: 0 };
            }
            At::Length => self.begin_string(u32::from(byte & 0x7f)),
            At::MoreLength { so_far, shift } => {
                let more = u32::from(byte & 0x7f).checked_shl(shift).unwrap_or(u32::MAX);
                let so_far = so_far.saturating_add(more);
                match goes_on && shift < MOST_SHIFT {
                    true => self.at = At::MoreLength { so_far, shift: shift + 7 },
                    false => self.begin_string(so_far),
                }
            }
            At::String(_) => {}
        }
    }

    fn begin_field(&mut self, byte: u8) {
        // A size of the table is no field (RFC 7541 §6.3).
        let (prefix, is_field, is_literal) = match byte {
            0x80.. => (0x7f, true, false),
            0x40.. => (0x3f, true, true),
            0x20.. => (0x1f, false, false),
            _ => (0x0f, true, true),
        };
        self.count += usize::from(is_field);
        // A name that is in no table is a string before the value.
        self.strings = u8::from(is_literal) + u8::from(is_literal && byte & prefix == 0);
        match byte & prefix == prefix {
            true => self.at = At::Index,
            false => self.after_index(),
        }
    }

    fn after_index(&mut self) {
        self.at = if self.strings > 0 { At::Length } else { At::Field };
    }

    fn begin_string(&mut self, length: u32) {
        if length > 0 {
            self.at = At::String(length);
            return;
        }
        self.strings = self.strings.saturating_sub(1);
        self.after_index();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Follows a block in pieces of each of these lengths.
    #[track_caller]
    fn check(block: &[u8], count: usize) {
        for step in [1, 2, 3, 7, block.len().max(1)] {
            let mut fields = Fields::default();
            block.chunks(step).for_each(|piece| fields.follow(piece));
            assert_eq!(fields.count(), count, "{block:?} in steps of {step}");
            assert!(matches!(fields.at, At::Field), "{block:?} in steps of {step}");
        }
    }

    #[test]
    fn the_examples_of_rfc_7541_have_as_many_fields_as_it_says() {
        // C.2.1 to C.2.4.
        check(b"\x40\x0acustom-key\x0dcustom-header", 1);
        check(b"\x04\x0c/sample/path", 1);
        check(b"\x10\x08password\x06secret", 1);
        check(b"\x82", 1);
        // C.3.1, C.3.3, and C.4.1 with Huffman codes.
        check(b"\x82\x86\x84\x41\x0fwww.example.com", 4);
        check(b"\x82\x87\x85\xbf\x40\x0acustom-key\x0ccustom-value", 5);
        check(b"\x82\x86\x84\x41\x8c\xf1\xe3\xc2\xe5\xf2\x3a\x6b\xa0\xab\x90\xf4\xff", 4);
    }

    #[test]
    fn long_numbers_and_empty_strings_are_read_over() {
        let long = |length: usize| {
            let over = length - 127;
            let number = [0x7f, 0x80 | (over % 128) as u8, (over / 128) as u8];
            [&[0x00][..], &number, &vec![b'n'; length], &number, &vec![0x82; length]].concat()
        };
        check(&long(300), 1);
        check(&long(5000), 1);
        check(&[long(200), b"\x82\x84".to_vec()].concat(), 3);
        check(b"\x00\x00\x00\x00\x01n\x00", 2);
        // Sizes of the table, indices over more bytes, and none at all.
        check(b"\x20\x3f\xe1\x1f\x82", 1);
        check(b"\xff\x80\x01\x7f\x80\x01\x01v\x0f\x80\x01\x01v\x1f\x80\x01\x00", 4);
        check(b"", 0);
    }

    #[test]
    fn fields_of_a_byte_are_all_counted() {
        check(&[0xbe; 5000], 5000);
    }
}
