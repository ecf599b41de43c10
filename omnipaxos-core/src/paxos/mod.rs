//! Sequence Paxos.

mod config;
mod error;
mod messages;

pub use crate::ballot::{Ballot, Leader, NodeId};
pub use config::PaxosConfig;
pub use error::{
    Halted, MessageError, ProposeError, ReadError, ReconfigureError, StartError, TrimError,
};
pub use messages::{
    Accept, AcceptSync, Accepted, Body, Decide, Learn, LearnRequest, Message, Prepare, PrepareReq,
    Promise, Propose, Refuse, SyncRequest, SyncSession,
};
