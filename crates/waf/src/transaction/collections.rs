//! What variables hold in one transaction.

use crate::parse::Variable;
use crate::transaction::values::ValueId;

/// One element of a collection, or the value of a variable.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Item {
    pub(crate) variable: Variable,
    /// Its name in the collection.
    pub(crate) name: Option<ValueId>,
    pub(crate) value: ValueId,
}

/// The variables that requests and answers fill; those of the engine itself are elsewhere.
#[derive(Debug, Clone, Default)]
pub(crate) struct Collections {
    lists: Vec<List>,
}

#[derive(Debug, Clone, Default)]
struct List {
    items: Vec<Item>,
    /// How often it has changed.
    version: u32,
}

impl Collections {
    /// Empties all, but keeps their space.
    pub(crate) fn clear(&mut self) {
        for list in &mut self.lists {
            list.items.clear();
            list.version = 0;
        }
    }

    /// How often a variable has changed.
    pub(crate) fn version(&self, variable: Variable) -> u32 {
        self.lists.get(variable as usize).map_or(0, |list| list.version)
    }

    /// Bytes that they hold.
    pub(crate) fn space(&self) -> usize {
        self.lists.iter().map(|list| list.items.capacity() * size_of::<Item>()).sum()
    }

    /// Adds an element to a collection.
    pub(crate) fn push(&mut self, variable: Variable, name: ValueId, value: ValueId) {
        self.list(variable).push(Item { variable, name: Some(name), value });
    }

    /// Gives a variable its value.
    pub(crate) fn set(&mut self, variable: Variable, value: ValueId) {
        self.list(variable).clear();
        self.add(variable, value);
    }

    /// Gives a variable a value beside those that it has.
    pub(crate) fn add(&mut self, variable: Variable, value: ValueId) {
        self.list(variable).push(Item { variable, name: None, value });
    }

    /// What a variable that is never absent holds, else nothing.
    pub(crate) fn unless_set(&self, variable: Variable) -> Option<Item> {
        let value = unset(variable).filter(|_| self.items(variable).is_empty())?;
        Some(Item { variable, name: None, value })
    }

    pub(crate) fn items(&self, variable: Variable) -> &[Item] {
        self.lists.get(variable as usize).map_or(&[], |list| &list.items)
    }

    /// The value of a variable that is no collection, once it has one.
    pub(crate) fn value(&self, variable: Variable) -> Option<ValueId> {
        self.items(variable).first().map(|item| item.value)
    }

    fn list(&mut self, variable: Variable) -> &mut Vec<Item> {
        let index = variable as usize;
        if self.lists.len() <= index {
            self.lists.resize_with(index + 1, List::default);
        }
        // The lines above made it.
        let list = &mut self.lists[index];
        list.version += 1;
        &mut list.items
    }
}

/// The value of variables that ModSecurity has even when nothing gave them one.
const fn unset(variable: Variable) -> Option<ValueId> {
    use Variable as V;
    Some(match variable {
        V::QueryString | V::ReqbodyProcessor | V::ReqbodyErrorMsg | V::ReqbodyProcessorErrorMsg => {
            ValueId::EMPTY
        }
        V::ArgsCombinedSize
        | V::FilesCombinedSize
        | V::InboundDataError
        | V::MscPcreError
        | V::MscPcreLimitsExceeded
        | V::MultipartBoundaryQuoted
        | V::MultipartBoundaryWhitespace
        | V::MultipartCrlfLfLines
        | V::MultipartDataAfter
        | V::MultipartDataBefore
        | V::MultipartFileLimitExceeded
        | V::MultipartHeaderFolding
        | V::MultipartInvalidHeaderFolding
        | V::MultipartInvalidPart
        | V::MultipartInvalidQuoting
        | V::MultipartLfLine
        | V::MultipartMissingSemicolon
        | V::MultipartStrictError
        | V::MultipartUnmatchedBoundary
        | V::OutboundDataError
        | V::ReqbodyError
        | V::ReqbodyProcessorError
        | V::RequestBodyLength
        | V::UrlencodedError => ValueId::ZERO,
        _ => return None,
    })
}
