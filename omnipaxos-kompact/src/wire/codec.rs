//! How Kompact sees our packets.

use super::{Frame, Incoming, WireError};
use kompact::prelude::{Buf, BufMut, Deserialiser, SerError, SerId, Serialisable};
use std::any::Any;

/// The serialisation id of all our packets; the envelope tells them apart.
const SER_ID: SerId = 0x6f6d_6e69_7061_7801;

impl Serialisable for Frame {
    fn ser_id(&self) -> SerId {
        SER_ID
    }

    /// Exact: Kompact reserves buffers by it, and a message that outgrows them is lost half
    /// written.
    fn size_hint(&self) -> Option<usize> {
        Some(self.encoded_len())
    }

    fn serialise(&self, buf: &mut dyn BufMut) -> Result<(), SerError> {
        self.write(buf);
        Ok(())
    }

    /// Never handed over as an object: a server that is its own peer shall see the same bytes.
    fn local(self: Box<Self>) -> Result<Box<dyn Any + Send>, Box<dyn Serialisable>> {
        Err(self)
    }

    fn cloned(&self) -> Option<Box<dyn Serialisable>> {
        Some(Box::new(self.clone()))
    }
}

/// Reads our packets for Kompact. What is wrong with one is a value, not a failed deserialiser, so
/// that the receiver can count it by its reason.
#[derive(Clone, Copy, Debug)]
pub struct WireCodec;

impl Deserialiser<Result<Incoming, WireError>> for WireCodec {
    const SER_ID: SerId = SER_ID;

    fn deserialise(buf: &mut dyn Buf) -> Result<Result<Incoming, WireError>, SerError> {
        Ok(Incoming::read(buf))
    }
}
