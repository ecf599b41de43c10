//! How much of what clients propose may wait for a component to take it.
//!
//! A component's queue has no end: a client that never stops would fill the memory with proposals
//! that nobody has looked at. So clients count what they put there, and are refused beyond a limit.

use omnipaxos_core::paxos::ProposeError;
use omnipaxos_core::storage::ENTRY_OVERHEAD;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

/// Counts the bytes of proposals that are on their way to one component. Clones count together.
#[derive(Clone, Debug)]
pub(crate) struct Gate {
    bytes: Arc<AtomicU64>,
    limit: u64,
}

/// The place of one proposal in the queue; free again once this is dropped.
#[derive(Debug)]
pub(crate) struct Permit {
    bytes: Arc<AtomicU64>,
    cost: u64,
}

impl Gate {
    /// Lets `limit` bytes through at once, but one proposal at least.
    pub(crate) fn new(limit: u64) -> Self {
        Self { bytes: Arc::default(), limit }
    }

    /// A place for a proposal of `len` bytes.
    ///
    /// # Errors
    /// [`ProposeError::Overloaded`] where too much waits already.
    pub(crate) fn enter(&self, len: usize) -> Result<Permit, ProposeError> {
        let (cost, limit) = (ENTRY_OVERHEAD + len as u64, self.limit);
        let more = |bytes: u64| {
            let sum = bytes.saturating_add(cost);
            (bytes == 0 || sum <= limit).then_some(sum)
        };
        match self.bytes.fetch_update(Ordering::Relaxed, Ordering::Relaxed, more) {
            Ok(_) => Ok(Permit { bytes: Arc::clone(&self.bytes), cost }),
            Err(pending) => Err(ProposeError::Overloaded { pending, limit }),
        }
    }
}

impl Drop for Permit {
    fn drop(&mut self) {
        self.bytes.fetch_sub(self.cost, Ordering::Relaxed);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_waits_is_bounded_and_comes_free() {
        let gate = Gate::new(2 * ENTRY_OVERHEAD);
        let large = gate.clone().enter(1000).unwrap();
        let pending = ENTRY_OVERHEAD + 1000;
        let overloaded = ProposeError::Overloaded { pending, limit: 2 * ENTRY_OVERHEAD };
        assert_eq!(gate.enter(0).err(), Some(overloaded));
        drop(large);
        let (first, _second) = (gate.enter(0).unwrap(), gate.enter(0).unwrap());
        assert!(gate.enter(0).is_err());
        drop(first);
        assert!(gate.enter(0).is_ok());
    }
}
