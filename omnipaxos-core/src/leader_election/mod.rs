//! Ballot Leader Election.

pub use crate::ballot::{Ballot, Leader, NodeId};
