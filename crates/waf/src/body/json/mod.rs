//! JSON (RFC 8259) to one name and value for each scalar in it.
//!
//! Names are those of Coraza, for which CRS writes its exclusions as for libmodsecurity:
//! `json.a.0.b`, and `json.a` for how many there are. ModSecurity 2 has no `json.`, and no
//! index; libmodsecurity writes `array_0`.

mod scalar;

use std::io::Write as _;

use scalar::Text;

use crate::body::Limits;

/// What some writers begin with (RFC 8259 §8.1): many servers ignore it.
pub(crate) const MARK: &[u8] = b"\xef\xbb\xbf";
/// The name of the whole document.
const ROOT: &[u8] = b"json";

/// Why a body is not JSON, or more than allowed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub(crate) enum JsonError {
    #[error("json: ends early")]
    Cut,
    #[error("json: an unexpected byte at offset {0}")]
    Unexpected(usize),
    #[error("json: text behind the document at offset {0}")]
    Trailing(usize),
    #[error("json: an invalid escape at offset {0}")]
    Escape(usize),
    #[error("json: a control character in a string at offset {0}")]
    Control(usize),
    #[error("json: a string at offset {0} is not UTF-8")]
    Utf8(usize),
    #[error("json: nested deeper than allowed")]
    TooDeep,
    #[error("json: more values than allowed")]
    TooManyValues,
    #[error("json: a value is longer than allowed")]
    ValueTooLong,
    #[error("json: names are longer than allowed")]
    NamesTooLong,
}

impl JsonError {
    /// Whether the body may be right, but has more in it than is read.
    pub(crate) const fn is_bound(&self) -> bool {
        matches!(
            self,
            Self::TooDeep | Self::TooManyValues | Self::ValueTooLong | Self::NamesTooLong
        )
    }
}

/// Tells `found` the name and the value of each scalar of `bytes`, in order.
///
/// Strings are decoded to UTF-8, and a lone surrogate to the three bytes it would have. Numbers
/// are told as written, `null` and an object with nothing in it as an empty value. An array with
/// a key is told after its elements as how many they are. An empty body is no document and no
/// error.
///
/// # Errors
/// At the first fault; what stands before it has been told, and how a string without an end begins.
pub(crate) fn flatten(
    bytes: &[u8],
    limits: &Limits,
    found: &mut impl FnMut(&[u8], &[u8]),
) -> Result<(), JsonError> {
    if bytes.is_empty() {
        return Ok(());
    }
    let start = if bytes.starts_with(MARK) { MARK.len() } else { 0 };
    let mut flattener = Flattener {
        text: Text::new(bytes, start),
        limits,
        name: ROOT.to_vec(),
        open: Vec::new(),
        values: 0,
        names_bytes: 0,
        found,
    };
    flattener.run()
}

struct Flattener<'a, F> {
    text: Text<'a>,
    limits: &'a Limits,
    /// Of the value that is being read.
    name: Vec<u8>,
    /// Invariant: at most `limits.depth`.
    open: Vec<Container>,
    values: usize,
    names_bytes: usize,
    found: &'a mut F,
}

/// An object or array that has not ended.
struct Container {
    /// How much of the name is its own.
    name_bytes: usize,
    /// The index of the next element; none in an object.
    next: Option<usize>,
    is_empty: bool,
}

impl<F: FnMut(&[u8], &[u8])> Flattener<'_, F> {
    fn run(&mut self) -> Result<(), JsonError> {
        // Each turn reads a value, or the end of a container.
        self.value()?;
        while let Some(container) = self.open.last_mut() {
            let end = if container.next.is_some() { b']' } else { b'}' };
            let byte = self.text.peek().ok_or(JsonError::Cut)?;
            if byte == end {
                self.text.skip();
                self.close()?;
                continue;
            }
            if container.is_empty {
                container.is_empty = false;
            } else {
                self.text.expect(b',')?;
            }
            self.name_next()?;
            self.value()?;
        }
        match self.text.peek() {
            Some(_) => Err(JsonError::Trailing(self.text.offset())),
            None => Ok(()),
        }
    }

    /// Reads a scalar, or the start of a container.
    fn value(&mut self) -> Result<(), JsonError> {
        match self.text.peek().ok_or(JsonError::Cut)? {
            b'{' => self.open(None),
            b'[' => self.open(Some(0)),
            b'"' => match self.text.string() {
                Ok(value) => self.tell(&value),
                Err(JsonError::Cut) => {
                    // Of a body that goes on, rules see how it begins.
                    self.tell(&self.text.begun_string())?;
                    Err(JsonError::Cut)
                }
                Err(fault) => Err(fault),
            },
            _ => {
                let value = self.text.plain()?;
                self.tell(value)
            }
        }
    }

    fn open(&mut self, next: Option<usize>) -> Result<(), JsonError> {
        self.text.skip();
        if self.open.len() >= self.limits.depth {
            return Err(JsonError::TooDeep);
        }
        self.open.push(Container { name_bytes: self.name.len(), next, is_empty: true });
        Ok(())
    }

    fn close(&mut self) -> Result<(), JsonError> {
        let Some(container) = self.open.pop() else { return Ok(()) };
        self.name.truncate(container.name_bytes);
        let is_under_a_key = self.open.last().is_some_and(|parent| parent.next.is_none());
        match container.next {
            // The names of its elements end in a number, and rules look at how names end.
            Some(count) if is_under_a_key => self.tell(count.to_string().as_bytes()),
            // No key may stay unseen because there is nothing behind it.
            _ if container.is_empty && !self.open.is_empty() => self.tell(b""),
            _ => Ok(()),
        }
    }

    /// Names the next value of the innermost container.
    fn name_next(&mut self) -> Result<(), JsonError> {
        let Some(container) = self.open.last_mut() else { return Ok(()) };
        self.name.truncate(container.name_bytes);
        self.name.push(b'.');
        match &mut container.next {
            Some(next) => {
                write!(self.name, "{next}").expect("a Vec takes everything");
                *next += 1;
            }
            None => {
                if self.text.peek().ok_or(JsonError::Cut)? != b'"' {
                    return Err(JsonError::Unexpected(self.text.offset()));
                }
                self.name.extend_from_slice(&self.text.string()?);
                self.text.expect(b':')?;
            }
        }
        if self.name.len() > self.limits.name_bytes {
            return Err(JsonError::NamesTooLong);
        }
        Ok(())
    }

    fn tell(&mut self, value: &[u8]) -> Result<(), JsonError> {
        self.values += 1;
        self.names_bytes += self.name.len();
        if self.values > self.limits.fields {
            return Err(JsonError::TooManyValues);
        }
        if self.names_bytes > self.limits.names_bytes {
            return Err(JsonError::NamesTooLong);
        }
        if value.len() > self.limits.value_bytes {
            return Err(JsonError::ValueTooLong);
        }
        (self.found)(&self.name, value);
        Ok(())
    }
}

#[cfg(test)]
mod tests;
