use memchr::memchr;

use super::XmlError;
use super::cursor::Cursor;
use super::reference::{self, Within};
use crate::body::Limits;

/// A start tag.
pub(super) struct Tag<'a> {
    pub(super) name: &'a [u8],
    /// It ends its element too.
    pub(super) is_empty: bool,
}

impl<'a> Tag<'a> {
    /// Reads what stands behind the `<`, and adds the values of its attributes to `values`.
    pub(super) fn read(
        cursor: &mut Cursor<'a>,
        limits: &Limits,
        values: &mut Vec<Vec<u8>>,
    ) -> Result<Self, XmlError> {
        let name = cursor.name()?;
        let mut names = Vec::new();
        loop {
            let is_separate = cursor.skip_space();
            let is_empty = match cursor.peek().ok_or(XmlError::Cut)? {
                b'>' => false,
                b'/' => true,
                _ if !is_separate => return Err(XmlError::Tag),
                _ => {
                    let attribute = attribute(cursor)?;
                    names.push(attribute.name);
                    attribute.add(limits, values)?;
                    continue;
                }
            };
            cursor.skip_or(if is_empty { b"/>" } else { b">" }, XmlError::Tag)?;
            // Sorted, for to compare each with each were not linear.
            names.sort_unstable();
            if names.windows(2).any(|pair| pair[0] == pair[1]) {
                return Err(XmlError::DuplicateAttribute);
            }
            return Ok(Self { name, is_empty });
        }
    }
}

pub(super) struct Attribute<'a> {
    pub(super) name: &'a [u8],
    /// As written.
    pub(super) value: &'a [u8],
}

impl Attribute<'_> {
    fn add(&self, limits: &Limits, values: &mut Vec<Vec<u8>>) -> Result<(), XmlError> {
        if values.len() >= limits.fields {
            return Err(XmlError::TooManyAttributes);
        }
        if self.name == b"xmlns" || self.name.starts_with(b"xmlns:") {
            // To XPath these are not attributes. Their references must be valid all the same.
            return reference::resolve(self.value, Within::Attribute, &mut Vec::new());
        }
        let mut value = Vec::new();
        let result = reference::resolve(self.value, Within::Attribute, &mut value);
        let is_long = value.len() > limits.value_bytes;
        value.truncate(limits.value_bytes);
        values.push(value);
        result?;
        if is_long { Err(XmlError::ValueTooLong) } else { Ok(()) }
    }
}

/// The attribute that is next.
pub(super) fn attribute<'a>(cursor: &mut Cursor<'a>) -> Result<Attribute<'a>, XmlError> {
    let name = cursor.name()?;
    cursor.skip_space();
    cursor.skip_or(b"=", XmlError::Attribute)?;
    cursor.skip_space();
    let quote = cursor.next().ok_or(XmlError::Cut)?;
    if !matches!(quote, b'"' | b'\'') {
        return Err(XmlError::Attribute);
    }
    let value = cursor.until(&[quote]).ok_or(XmlError::Cut)?;
    if memchr(b'<', value).is_some() {
        return Err(XmlError::Attribute);
    }
    Ok(Attribute { name, value })
}
