//! What rule sets have in common: expressions and lists that several of them have, and the space
//! that matching them needs.

use std::fmt;
use std::ops::DerefMut;
use std::sync::Arc;

use regex_automata::util::pool::Pool;

use crate::operator::{Cache, Known};

/// What rule sets have in common that are compiled one after the other.
///
/// Most of a rule set's memory is in its expressions, which are mostly those of the next one: a
/// profile differs from another by exclusions and settings.
#[derive(Debug, Default)]
pub struct Stock {
    pub(crate) known: Known,
    pub(crate) caches: Arc<Caches>,
}

/// Space that matching needs; each thread that runs rules borrows one.
pub(crate) struct Caches(Pool<Cache, fn() -> Cache>);

impl Caches {
    pub(crate) fn get(&self) -> impl DerefMut<Target = Cache> {
        self.0.get()
    }
}

impl Default for Caches {
    fn default() -> Self {
        Self(Pool::new(Cache::new))
    }
}

impl fmt::Debug for Caches {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Caches")
    }
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use super::*;
    use crate::parse::{NoFiles, Reader};
    use crate::rules::RuleSet;

    fn compile(text: &str, stock: &mut Stock) -> RuleSet {
        let mut reader = Reader::new(&NoFiles, &|_| false);
        reader.text(Path::new("rules.conf"), text.as_bytes());
        let tree = reader.finish().unwrap();
        RuleSet::compile_with(&tree, &NoFiles, &|_| false, stock).unwrap()
    }

    #[test]
    fn what_two_sets_have_is_compiled_once() {
        let mut stock = Stock::default();
        let rule = |id: u32, pattern: &str| {
            format!("SecRule ARGS \"@rx {pattern}\" \"id:{id},phase:2,deny\"\n")
        };
        let first = compile(&(rule(1, "a+b*") + &rule(2, "c+d*")), &mut stock);
        let known = stock.known.bytes();
        let second = compile(&(rule(7, "c+d*") + &rule(8, "a+b*")), &mut stock);
        assert_eq!(stock.known.bytes(), known);
        assert!(Arc::ptr_eq(&first.caches, &second.caches));
        compile(&rule(9, "e+f*"), &mut stock);
        assert!(stock.known.bytes() > known);
    }
}
