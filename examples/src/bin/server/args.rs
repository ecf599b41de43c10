//! The command line.

use clap::Parser;
use omnipaxos_core::leader_election::NodeId;
use std::net::SocketAddr;
use std::path::PathBuf;

/// One server of a cluster, in a process of its own: the first one begins a cluster, the others
/// join it. Lines on standard input are replicated; lines that begin with a slash change the
/// cluster: see /help.
#[derive(Debug, Parser)]
#[command(name = "server")]
pub(crate) struct Args {
    /// This server: a number above 0 that no other server has or had.
    #[arg(long, value_name = "PID", value_parser = clap::value_parser!(u64).range(1..))]
    pub(crate) pid: NodeId,

    /// Where it listens, and is reached by the others.
    #[arg(long, value_name = "ADDRESS")]
    pub(crate) listen: SocketAddr,

    /// Where it keeps what it must not forget. Started again on the same directory it goes on.
    #[arg(long, value_name = "DIR")]
    pub(crate) data: PathBuf,

    /// Join the cluster of the server that listens there. Without it the first start begins a
    /// cluster of this server alone.
    #[arg(long, value_name = "ADDRESS")]
    pub(crate) join: Option<SocketAddr>,

    /// Join as a learner: it gets the log and does not vote.
    #[arg(long, requires = "join")]
    pub(crate) learner: bool,

    /// Print the log of the components, too.
    #[arg(long)]
    pub(crate) log: bool,
}
