//! What other servers say.

use super::Driver;
use super::book::Heard;
use crate::server::store::ServerStorage;
use crate::wire::{JoinRefusal, ServerPacket, ServerTalk};
use kompact::prelude::*;
use omnipaxos_core::configurations::{ServerBody, ServerMessage};
use omnipaxos_core::leader_election::NodeId;

impl<E: ServerStorage> Driver<E> {
    pub(super) fn on_packet(&mut self, packet: ServerPacket) {
        let from = packet.from;
        match self.book.heard(&packet) {
            Heard::Known | Heard::Stranger => {}
            Heard::Moved => {
                info!(
                    self.system.logger(), "server is somewhere else";
                    "pid" => self.pid, "peer" => from, "address" => %packet.address
                );
                self.set_peer(from);
                self.write_notes();
            }
            Heard::Foreign(bound) => {
                if matches!(packet.talk, ServerTalk::Join { .. }) {
                    let (reason, ask) = (JoinRefusal::OtherStorage { bound }, Vec::new());
                    let talk = ServerTalk::JoinRefused { reason, ask };
                    self.mail(Some(packet.address), from, talk);
                }
                return;
            }
        }
        match packet.talk {
            ServerTalk::Life(body) => self.on_life(from, body),
            ServerTalk::Identify => self.send(from, ServerTalk::Identity),
            ServerTalk::Identity => {
                self.identified(from, packet.storage_id, packet.address);
            }
            ServerTalk::Join { role } => {
                self.on_join(from, role);
                self.identified(from, packet.storage_id, packet.address);
            }
            ServerTalk::JoinRefused { reason, ask } => self.on_join_refused(reason, &ask),
            ServerTalk::TakeLead { config_id } => self.take_lead(config_id),
        }
        if self.joining.is_some() {
            self.life.contact(from);
        }
    }

    fn on_life(&mut self, from: NodeId, body: ServerBody) {
        let message = ServerMessage { from, to: self.pid, body };
        if let Err(reason) = self.life.handle_message(message) {
            debug!(
                self.system.logger(), "message dropped";
                "pid" => self.pid, "peer" => from, "reason" => %reason
            );
        }
    }

    /// Tells somebody all that is known of the configurations.
    pub(super) fn tell_history(&mut self, pid: NodeId) {
        self.on_life(pid, ServerBody::Hello { newest: 0 });
    }
}
