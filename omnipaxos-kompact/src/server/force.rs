//! The last resort of an operator: a new configuration from what one survivor holds.

use super::driver::Notes;
use crate::durable::{Engine, GroupError, OpenError};
use crate::identity::MemberStore as _;
use crate::wire::{EncodeError, Member, WireError, decode_members, encode_members};
use omnipaxos_core::configurations::{
    Configuration, ConfigurationError, ForceEndError, ForcedEnd, MergeError, force_end,
};
use omnipaxos_core::leader_election::NodeId;
use omnipaxos_core::storage::{StopSign, StorageError};
use std::collections::BTreeMap;
use thiserror::Error;

/// What was made of a server's storage.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Forced {
    /// What became of the log of the configuration that lost its majority.
    pub end: ForcedEnd,
    /// The servers that are members no longer: none of them may ever be started again.
    pub lost: Vec<NodeId>,
}

/// Why no configuration was forced.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
#[non_exhaustive]
pub enum ForceError {
    /// No server with the life of a member has ever run on this storage.
    #[error("this storage knows no configuration: nothing has run on it as a server")]
    NoHistory,
    /// The history cannot be understood.
    #[error("the history beside the log: {0}")]
    History(#[source] WireError),
    /// The metadata of the newest configuration cannot be understood.
    #[error("the members of the newest configuration: {0}")]
    Metadata(#[source] WireError),
    /// A server that is to be kept is no member of the newest configuration.
    #[error("server {0} is no member of the newest configuration")]
    NotMember(NodeId),
    /// The server whose storage this is has to be among those that are kept.
    #[error("this is the storage of server {0}, which is not among those to be kept")]
    NotKept(NodeId),
    /// Nothing would change: all members are kept.
    #[error("all members of the newest configuration are to be kept: nothing is lost")]
    NothingLost,
    /// Where a server is reached, or which storage it has, is not known here.
    #[error("the address or the storage of server {0} is not known here: keep fewer servers")]
    Unknown(NodeId),
    /// There can be no such configuration.
    #[error(transparent)]
    Configuration(#[from] ConfigurationError),
    /// The log cannot be ended.
    #[error(transparent)]
    End(#[from] ForceEndError),
    /// The end contradicts the history.
    #[error(transparent)]
    Merge(#[from] MergeError),
    /// The engine's files cannot be read.
    #[error(transparent)]
    Open(#[from] OpenError),
    /// The storage of the configuration is not to be had.
    #[error(transparent)]
    Group(#[from] GroupError),
    /// What has to be written cannot be encoded.
    #[error(transparent)]
    Encode(#[from] EncodeError),
    /// The storage failed.
    #[error(transparent)]
    Storage(#[from] StorageError),
}

/// Starts a new configuration of the members `keep` of the newest one from what the storage of one
/// of them holds, decided or not, while no server runs on it. The end is recorded as forced, in
/// every server's history, for ever.
///
/// **Only where a majority of the newest configuration is lost for good.** What only lost servers
/// had is lost, acknowledged or not. docs/OPERATIONS.md says at which survivor the least is lost;
/// never do it at two of them, and never start a lost server again.
///
/// # Errors
/// [`ForceError`]; nothing was changed then, unless storage failed.
pub fn force_configuration(engine: &Engine, keep: &[NodeId]) -> Result<Forced, ForceError> {
    let pid = engine.owner().pid;
    let history = engine.history()?.ok_or(ForceError::NoHistory)?;
    let mut notes = Notes::decode(&history).map_err(ForceError::History)?;
    let newest = notes.history.as_ref().ok_or(ForceError::NoHistory)?.newest();
    let role = |pid: &NodeId| newest.role(*pid).map(|_| *pid);
    if let Some(stranger) = keep.iter().find(|pid| role(pid).is_none()) {
        return Err(ForceError::NotMember(*stranger));
    }
    if !keep.contains(&pid) {
        return Err(ForceError::NotKept(pid));
    }
    let kept = |pids: &[NodeId]| -> Vec<NodeId> {
        pids.iter().copied().filter(|pid| keep.contains(pid)).collect()
    };
    let lost: Vec<NodeId> = newest.members().filter(|pid| !keep.contains(pid)).collect();
    if lost.is_empty() {
        return Err(ForceError::NothingLost);
    }
    let members = members(engine, &notes, newest.metadata.as_deref())?;
    let seat = |pid: &NodeId| members.get(pid).copied().ok_or(ForceError::Unknown(*pid));
    let seats = keep.iter().map(seat).collect::<Result<Vec<Member>, _>>()?;
    let stop_sign = StopSign {
        config_id: newest.config_id + 1,
        nodes: kept(&newest.nodes),
        learners: kept(&newest.learners),
        metadata: Some(encode_members(&seats)?),
        digest: None,
        skip_prepare_use_leader: None,
    };
    Configuration::after(&stop_sign).check()?;
    // The log first: a history without it would send the server looking for records that nobody
    // has.
    let end = force_end(newest.config_id, pid, engine.storage(newest.config_id)?, stop_sign)?;
    if let Some(history) = &mut notes.history {
        history.merge(std::slice::from_ref(&end.ended))?;
    }
    engine.set_history(&notes.encode()?)?;
    Ok(Forced { end, lost })
}

/// What is known of each server: from the configuration, from what servers have said of themselves,
/// and from their introductions.
fn members(
    engine: &Engine,
    notes: &Notes,
    metadata: Option<&[u8]>,
) -> Result<BTreeMap<NodeId, Member>, ForceError> {
    let decided = metadata.map(decode_members).transpose().map_err(ForceError::Metadata)?;
    let bindings = engine.members()?.bindings()?;
    let mut members = BTreeMap::new();
    for member in decided.unwrap_or_default().into_iter().chain(notes.members.iter().copied()) {
        members.insert(member.pid, member);
    }
    let own = (engine.owner().pid, engine.storage_id());
    let introduced = bindings.into_iter().map(|(pid, binding)| (pid, binding.storage_id));
    for (pid, storage_id) in introduced.chain([own]) {
        if let Some(member) = members.get_mut(&pid) {
            member.storage_id.get_or_insert(storage_id);
        }
    }
    members.retain(|_, member| member.storage_id.is_some());
    Ok(members)
}
