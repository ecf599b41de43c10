//! Who a server is, beyond its pid: the storage that remembers what was promised in its name.
//!
//! A server that comes back under its old pid with an empty disk has forgotten its promises. So a
//! pid alone does not identify a voter: `(pid, storage id)` does, and every member durably binds
//! each pid to one storage id, for ever. A server takes part in a configuration only once it knows
//! all members and all members know it; docs/PROTOCOL.md, "Identity", says why that is enough.
//!
//! [`Handshake`] is the whole of it, without a clock, a network or a disk.

mod admission;
mod handshake;
mod message;
mod store;

#[cfg(test)]
mod tests;

pub use admission::{Admission, MembersError, Refusal};
pub use handshake::{Handshake, Output};
pub use message::{Identity, IdentityMessage};
pub use store::{Binding, MemberStore, MemoryMembers, NoRandomness, StorageId};
