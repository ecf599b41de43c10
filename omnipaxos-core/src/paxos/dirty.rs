//! Whether there is work to do before output is handed out.

use std::hash::{Hash, Hasher};

/// Something came in since the last drain. Draining twice does no more than draining once, so this
/// is no part of a replica's state: replicas that differ in nothing else are equal.
#[derive(Clone, Copy, Debug)]
pub(super) struct Dirty(bool);

impl Dirty {
    /// There is work to do.
    pub(super) const YES: Self = Self(true);

    /// All is done.
    pub(super) const NO: Self = Self(false);

    pub(super) fn is_set(self) -> bool {
        self.0
    }
}

impl PartialEq for Dirty {
    fn eq(&self, _: &Self) -> bool {
        true
    }
}

impl Eq for Dirty {}

impl Hash for Dirty {
    fn hash<H: Hasher>(&self, _: &mut H) {}
}
