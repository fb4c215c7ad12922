//! Figures of the same kind by name: one of `routes`, of `upstreams`, of `rate_limits`.

use std::collections::HashMap;
use std::sync::Arc;

use prometheus::Registry;
use prometheus::core::Collector;

/// The figures of one name.
pub(super) trait Figures {
    fn named(name: &str) -> Self;
    fn collectors(&self) -> Vec<Box<dyn Collector>>;
}

/// All of one kind. Invariant: exactly these are registered.
#[derive(Debug)]
pub(super) struct Family<F>(HashMap<String, Arc<F>>);

impl<F> Default for Family<F> {
    fn default() -> Self {
        Family(HashMap::new())
    }
}

impl<F: Figures> Family<F> {
    /// Those of `name`, which are made if there are none.
    pub(super) fn find(&mut self, name: &str, registry: &Registry) -> Arc<F> {
        if let Some(known) = self.0.get(name) {
            return known.clone();
        }
        let made = Arc::new(F::named(name));
        register(registry, made.collectors());
        self.0.insert(name.to_owned(), made.clone());
        made
    }

    /// Drops those that nobody else has.
    pub(super) fn forget_unused(&mut self, registry: &Registry) {
        let unused = self.0.extract_if(|_, figures| Arc::strong_count(figures) == 1);
        for collector in unused.flat_map(|(_, figures)| figures.collectors()) {
            registry.unregister(collector).expect("it was registered when it was made");
        }
    }
}

/// Has the registry show figures.
pub(super) fn register(registry: &Registry, collectors: Vec<Box<dyn Collector>>) {
    for collector in collectors {
        registry.register(collector).expect("a name is registered once, with the same labels");
    }
}
