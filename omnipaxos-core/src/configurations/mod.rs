//! The life of one server across configurations: which logs it has to complete, which replicas run,
//! whom it tells what, when it may go.
//!
//! [`Configurations`] is all of that without I/O; a driver joins it with replicas, storage and a
//! network. docs/PROTOCOL.md has the steps, V1 to V8, and says why no configuration can start
//! without every decided entry of the ones before it.
//!
//! # How to drive it
//! 1. [`Configurations::new`] with what is on disk; [`bootstrap`](Configurations::bootstrap) at
//!    each member of the first configuration of a new cluster, [`contact`](Configurations::contact)
//!    at a server that is to join one. After a restart neither is needed.
//! 2. The other methods for whatever happens, [`tick`](Configurations::tick) at a steady pace.
//! 3. After each of these calls, take all of [`next_command`](Configurations::next_command) and do
//!    as it says, in order. [`Command`] says which input acknowledges which command, and what a
//!    crash may lose. Commands may be carried out elsewhere and later, as long as those of one
//!    configuration, and those that persist, keep their order.
//!
//! Nothing here waits for anything else than these inputs, so a crash at any moment is followed by
//! step 1.

mod command;
mod config;
mod configuration;
mod error;
mod fetch;
mod force;
mod history;
mod life;
mod log;
mod messages;
mod proposals;
mod serve;
mod steps;
mod talk;

#[cfg(test)]
mod tests;

pub use crate::ballot::{Ballot, Leader, NodeId};
pub use crate::migration::{Blame, MigrationConfig, Progress};
pub use command::{Command, Found, FoundLog};
pub use config::ConfigurationsConfig;
pub use configuration::{Configuration, Role};
pub use error::{
    BootstrapError, ConfigurationError, ConfigurationsStartError, Conflict, HistoryError,
    MergeError, ServerMessageError,
};
pub use force::{ForceEndError, ForcedEnd, force_end};
pub use history::{Ended, History};
pub use life::Configurations;
pub use messages::{HistoryPart, MAX_ENDED, MAX_ENDED_COST, ServerBody, ServerMessage, Stage};
pub use proposals::{DecidedProposal, Proposals, SubmitError};
