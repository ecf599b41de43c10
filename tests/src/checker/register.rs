//! A register on top of the log, and whether its history is linearizable.

use super::Key;
use stateright::semantics::register::{Register, RegisterOp, RegisterRet};
use stateright::semantics::{ConsistencyTester, LinearizabilityTester};
use std::collections::BTreeMap;

/// What a client asks of the register.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Operation {
    /// Write a value.
    Write(u64),
    /// Read the value.
    Read,
}

#[derive(Clone, Copy, Debug)]
enum Event {
    Invoked(Key, Operation),
    Returned(Key, Option<u64>),
}

/// Invocations and returns, in the order in which they happened. Each operation is a proposal; a
/// client has one at a time, and one whose server crashed never returns.
#[derive(Clone, Debug, Default)]
pub struct History {
    events: Vec<Event>,
    operations: BTreeMap<Key, Operation>,
}

impl History {
    /// How many operations were invoked.
    #[must_use]
    pub fn len(&self) -> usize {
        self.operations.len()
    }

    /// Whether nothing was invoked.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.operations.is_empty()
    }

    /// The operation that the proposal `key` is.
    #[must_use]
    pub fn operation(&self, key: Key) -> Option<Operation> {
        self.operations.get(&key).copied()
    }

    /// A client invokes an operation.
    pub fn invoked(&mut self, key: Key, operation: Operation) {
        self.operations.insert(key, operation);
        self.events.push(Event::Invoked(key, operation));
    }

    /// An operation returns; a read with the value it saw.
    pub fn returned(&mut self, key: Key, value: Option<u64>) {
        self.events.push(Event::Returned(key, value));
    }

    /// Whether some order of the operations explains what they returned.
    #[must_use]
    pub fn is_linearizable(&self) -> bool {
        let mut tester = LinearizabilityTester::new(Register(0u64));
        for event in &self.events {
            // Each operation is a thread of its own: a client's next one begins after it.
            let valid = match *event {
                Event::Invoked(key, Operation::Write(value)) => {
                    tester.on_invoke(key, RegisterOp::Write(value))
                }
                Event::Invoked(key, Operation::Read) => tester.on_invoke(key, RegisterOp::Read),
                Event::Returned(key, Some(value)) => {
                    tester.on_return(key, RegisterRet::ReadOk(value))
                }
                Event::Returned(key, None) => tester.on_return(key, RegisterRet::WriteOk),
            };
            if valid.is_err() {
                return false;
            }
        }
        tester.is_consistent()
    }
}
