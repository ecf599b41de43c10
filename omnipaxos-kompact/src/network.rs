//! Kompact's networking, set up so that links heal after a peer has crashed under load.
//!
//! Kompact keeps what it could not send to a lost peer and sends it after the reconnect. Where the
//! peer died in the middle of a frame, the rest of that frame then goes first, the receiver finds
//! no beginning, and the link is dead from then on while it looks alive. With no retries the queue
//! is dropped instead and the next message opens the link again; what was lost the protocol
//! repairs.
//!
//! Its buffers live in memory of ours, for a reason that the module `chunks` states.

use crate::chunks::EverlastingChunks;
use crate::config::{ConfigError, OmniPaxosConfig};
use crate::timer::install_sleeping_timer;
use kompact::prelude::{BufferConfig, DeadletterBox, KompactConfig, KompactSystem};
use kompact_net::NetworkConfig;
use std::net::SocketAddr;
use std::sync::Arc;
use thiserror::Error;

/// Why a system could not be built.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
#[non_exhaustive]
pub enum BuildError {
    /// Its configuration is wrong.
    #[error(transparent)]
    Config(#[from] ConfigError),
    /// Kompact could not start it, for instance because the port is taken.
    #[error("Kompact did not start on {listen}: {reason}")]
    Kompact {
        /// The address to listen at.
        listen: SocketAddr,
        /// What Kompact said.
        reason: String,
    },
}

/// The network settings of a server that listens at `listen`; port 0 lets the system choose one.
#[must_use]
pub fn network_config(listen: SocketAddr, config: &OmniPaxosConfig) -> NetworkConfig {
    let chunks = EverlastingChunks::new(saturating_usize(config.buffer_chunk));
    let buffers = buffer_config(config);
    let mut network = NetworkConfig::with_custom_allocator(listen, buffers, Arc::new(chunks));
    network.set_tcp_nodelay(true);
    network.set_max_connection_retry_attempts(0);
    let interval = config.reconnect_interval.as_millis();
    network.set_connection_retry_interval(u64::try_from(interval).unwrap_or(u64::MAX));
    network
}

/// A Kompact configuration from a TOML document, with our networking in it. More can be set before
/// it is built.
///
/// # Errors
/// [`ConfigError`] that names the key.
pub fn kompact_config(listen: SocketAddr, toml: &str) -> Result<KompactConfig, ConfigError> {
    let config = OmniPaxosConfig::from_toml(toml)?;
    let mut kompact = KompactConfig::default();
    kompact.load_config_str(toml);
    let network = network_config(listen, &config);
    kompact.system_components(DeadletterBox::new, network.build());
    install_sleeping_timer(&mut kompact);
    Ok(kompact)
}

/// Builds and starts a Kompact system that listens at `listen`, from a TOML document, which may be
/// empty. `system.system_path().socket_address()` tells the address it listens at.
///
/// # Errors
/// [`BuildError`] for a wrong configuration, or where Kompact does not start.
pub fn build_system(listen: SocketAddr, toml: &str) -> Result<KompactSystem, BuildError> {
    use kompact::prelude::BlockingFutureExt as _;
    let config = kompact_config(listen, toml)?;
    config.build().wait().map_err(|e| BuildError::Kompact { listen, reason: e.to_string() })
}

/// The buffers of the network, and of each component that serialises.
pub(crate) fn buffer_config(config: &OmniPaxosConfig) -> BufferConfig {
    let mut buffers = BufferConfig::default();
    buffers.chunk_size(saturating_usize(config.buffer_chunk));
    buffers.max_chunk_count(saturating_usize(config.buffer_chunks));
    buffers
}

fn saturating_usize(bytes: u64) -> usize {
    usize::try_from(bytes).unwrap_or(usize::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn loopback() -> SocketAddr {
        SocketAddr::from(([127, 0, 0, 1], 0))
    }

    #[test]
    fn a_lost_link_is_given_up_at_once() {
        let network = network_config(loopback(), &OmniPaxosConfig::default());
        assert_eq!(network.get_max_connection_retry_attempts(), 0);
        assert_eq!(network.get_connection_retry_interval(), 150);
        assert!(network.get_tcp_nodelay());
    }

    #[test]
    fn port_0_is_replaced_by_a_free_one() {
        let system = build_system(loopback(), "[omnipaxos]\ncluster-id = 1\n").unwrap();
        assert_ne!(system.system_path().port(), 0);
        system.kill_system().unwrap();
    }

    #[test]
    fn a_wrong_setting_is_found_before_anything_starts() {
        let toml = "[omnipaxos]\ntick = 1";
        let expected = OmniPaxosConfig::from_toml(toml).unwrap_err();
        let error = build_system(loopback(), toml).err();
        assert_eq!(error, Some(BuildError::Config(expected)));
    }
}
