//! Text for the tests of the other files.

use std::path::Path;
use std::sync::Arc;

use crate::parse::text::Text;

pub(crate) fn text(line: &str) -> Text {
    bytes(line.as_bytes())
}

pub(crate) fn bytes(line: &[u8]) -> Text {
    let mut text = Text::new(Arc::from(Path::new("f")));
    for (column, byte) in (1..).zip(line) {
        text.push(*byte, 1, column);
    }
    text
}
