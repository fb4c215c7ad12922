//! The transformations that `t:` names.

use crate::parse::names::Named;
use crate::transform::{NAMES, Transformation};

/// `t:none` is no transformation.
impl Named for Option<Transformation> {
    const WHAT: &'static str = "transformation";

    fn table() -> &'static [(&'static str, Self)] {
        &NAMES
    }
}
