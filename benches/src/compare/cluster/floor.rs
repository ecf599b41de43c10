//! What Kompact moves between two systems, without us: messages one way, and round trips.

use super::system;
use super::{Outcome, PATIENCE, no_answer};
use crate::compare::group::GroupError;
use bytes::{Buf, BufMut, Bytes};
use kompact::prelude::*;
use std::any::Any;
use std::collections::VecDeque;
use std::time::Instant;

/// A payload and nothing else.
#[derive(Clone, Debug)]
struct Blob(Bytes);

const SER_ID: SerId = 4711;

impl Serialisable for Blob {
    fn ser_id(&self) -> SerId {
        SER_ID
    }

    fn size_hint(&self) -> Option<usize> {
        Some(self.0.len())
    }

    fn serialise(&self, buf: &mut dyn BufMut) -> Result<(), SerError> {
        buf.put_slice(&self.0);
        Ok(())
    }

    fn local(self: Box<Self>) -> Result<Box<dyn Any + Send>, Box<dyn Serialisable>> {
        Ok(self)
    }
}

struct BlobCodec;

impl Deserialiser<Blob> for BlobCodec {
    const SER_ID: SerId = SER_ID;

    fn deserialise(buf: &mut dyn Buf) -> Result<Blob, SerError> {
        let len = buf.remaining();
        Ok(Blob(buf.copy_to_bytes(len)))
    }
}

/// Sends, and takes note of what comes back.
#[derive(ComponentDefinition)]
struct Sender {
    ctx: ComponentContext<Self>,
    to: ActorPath,
    payload: Bytes,
    /// Messages on their way at the most.
    window: u64,
    count: u64,
    sent: u64,
    /// When each of those on their way was sent.
    open: VecDeque<Instant>,
    took: Vec<u64>,
    start: Instant,
    done: Option<KPromise<Outcome>>,
}

#[derive(Debug)]
enum Run {
    Start(KPromise<Outcome>),
    More,
}

impl Sender {
    fn send(&mut self) {
        while self.sent < self.count && (self.open.len() as u64) < self.window {
            let path = self.to.clone();
            if path.tell_serialised(Blob(self.payload.clone()), self).is_err() {
                // No buffer is free: when something comes back, there will be one.
                self.ctx.actor_ref().tell(Run::More);
                return;
            }
            self.open.push_back(Instant::now());
            self.sent += 1;
        }
    }

    /// The receiver has got `count` messages more.
    fn acknowledged(&mut self, count: u64) {
        for _ in 0..count {
            if let Some(sent) = self.open.pop_front() {
                self.took.push(sent.elapsed().as_nanos() as u64);
            }
        }
        if self.took.len() as u64 == self.count {
            if let Some(done) = self.done.take() {
                let took = std::mem::take(&mut self.took);
                let outcome = Outcome::new(self.start.elapsed().as_secs_f64(), took);
                // Whoever waits may have given up.
                let _ = done.fulfil(outcome);
            }
        } else {
            self.send();
        }
    }
}

impl ComponentLifecycle for Sender {
    fn on_start(&mut self) -> HandlerResult {
        self.ctx.init_buffers(None, None);
        Handled::OK
    }
}

impl Actor for Sender {
    type Message = Run;

    fn receive_local(&mut self, run: Run) -> HandlerResult {
        if let Run::Start(done) = run {
            self.done = Some(done);
            self.start = Instant::now();
        }
        self.send();
        Handled::OK
    }

    fn receive_network(&mut self, message: NetMessage) -> HandlerResult {
        if let Ok(Blob(mut count)) = message.try_deserialise::<Blob, BlobCodec>()
            && count.len() == 8
        {
            self.acknowledged(count.get_u64());
        }
        Handled::OK
    }
}

/// Counts, and answers each `every` messages.
#[derive(ComponentDefinition)]
struct Receiver {
    ctx: ComponentContext<Self>,
    back: Option<ActorPath>,
    every: u64,
    last: u64,
    got: u64,
    total: u64,
}

impl ComponentLifecycle for Receiver {
    fn on_start(&mut self) -> HandlerResult {
        self.ctx.init_buffers(None, None);
        Handled::OK
    }
}

impl Actor for Receiver {
    type Message = ActorPath;

    fn receive_local(&mut self, back: ActorPath) -> HandlerResult {
        self.back = Some(back);
        Handled::OK
    }

    fn receive_network(&mut self, message: NetMessage) -> HandlerResult {
        if message.try_deserialise::<Blob, BlobCodec>().is_err() {
            return Handled::OK;
        }
        self.got += 1;
        let news = self.got - self.last;
        if (news == self.every || self.got == self.total)
            && let Some(back) = self.back.clone()
        {
            let count = Bytes::copy_from_slice(&news.to_be_bytes());
            if back.tell_serialised(Blob(count), self).is_ok() {
                self.last = self.got;
            }
        }
        Handled::OK
    }
}

/// Sends `count` messages of `payload` bytes from one system to another, `window` of them on their
/// way; with a window of 1 each is a round trip.
///
/// # Errors
/// [`GroupError`] where Kompact does not do it.
pub fn run(payload: usize, window: u64, count: u64) -> Result<Outcome, GroupError> {
    let (one, other) = (system::start()?, system::start()?);
    let every = (window / 8).max(1);
    let (receiver, registered) = other.create_and_register(move || Receiver {
        ctx: ComponentContext::uninitialised(),
        back: None,
        every,
        last: 0,
        got: 0,
        total: count,
    });
    let to = registered.wait_timeout(PATIENCE).map_err(|_| no_answer("a receiver"))?;
    let to = to.map_err(|e| GroupError(format!("{e:?}")))?;
    let (sender, registered) = one.create_and_register(move || Sender {
        ctx: ComponentContext::uninitialised(),
        to,
        payload: Bytes::from(vec![7; payload]),
        window,
        count,
        sent: 0,
        open: VecDeque::new(),
        took: Vec::new(),
        start: Instant::now(),
        done: None,
    });
    let back = registered.wait_timeout(PATIENCE).map_err(|_| no_answer("a sender"))?;
    let back = back.map_err(|e| GroupError(format!("{e:?}")))?;
    other.start_notify(&receiver).wait_timeout(PATIENCE).map_err(|_| no_answer("a receiver"))?;
    one.start_notify(&sender).wait_timeout(PATIENCE).map_err(|_| no_answer("a sender"))?;
    receiver.actor_ref().tell(back);
    let (done, outcome) = promise();
    sender.actor_ref().tell(Run::Start(done));
    let outcome = outcome.wait_timeout(PATIENCE).map_err(|_| no_answer("messages"));
    for system in [one, other] {
        system.kill_system().map_err(GroupError::new)?;
    }
    outcome
}
