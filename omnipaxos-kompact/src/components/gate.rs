//! How much of what clients propose may be open at once.
//!
//! A component's queue has no end: a client that never stops would fill the memory with proposals
//! that nobody has looked at. So clients count what they put there, and are refused beyond a limit.

use omnipaxos_core::paxos::ProposeError;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

/// What an open proposal takes beyond its payload: the message that it comes with, the promise of
/// its answer, and its place in the lists of those that wait. By measurement; small ones would fill
/// the memory many times over if this did not count.
pub(crate) const PROPOSAL_OVERHEAD: u64 = 512;

/// Counts the bytes that open proposals to one component take. Clones count together.
#[derive(Clone, Debug)]
pub(crate) struct Gate {
    bytes: Arc<AtomicU64>,
    limit: u64,
}

/// The place of one proposal; free again once this is dropped.
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
    /// [`ProposeError::Overloaded`] where too much is open already.
    pub(crate) fn enter(&self, len: usize) -> Result<Permit, ProposeError> {
        let (cost, limit) = (PROPOSAL_OVERHEAD + len as u64, self.limit);
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
    fn what_is_open_is_bounded_and_comes_free() {
        let gate = Gate::new(2 * PROPOSAL_OVERHEAD);
        let large = gate.clone().enter(1000).unwrap();
        let pending = PROPOSAL_OVERHEAD + 1000;
        let overloaded = ProposeError::Overloaded { pending, limit: 2 * PROPOSAL_OVERHEAD };
        assert_eq!(gate.enter(0).err(), Some(overloaded));
        drop(large);
        let (first, _second) = (gate.enter(0).unwrap(), gate.enter(0).unwrap());
        assert!(gate.enter(0).is_err());
        drop(first);
        assert!(gate.enter(0).is_ok());
    }
}
