//! The event log of a run: hashed, kept, or neither.

use std::fmt;
use std::fmt::Write as _;

/// Where the event log goes.
#[derive(Clone, Debug, Default)]
pub enum EventLog {
    /// Nowhere.
    #[default]
    Off,
    /// Into one number (FNV-1a).
    Hash(u64),
    /// Into text, a line an event.
    Lines(String),
}

impl EventLog {
    /// A log that is reduced to one number.
    #[must_use]
    pub fn hash() -> Self {
        Self::Hash(0xCBF2_9CE4_8422_2325)
    }

    /// Adds a line. Nothing is formatted when the log goes nowhere.
    pub fn line(&mut self, time: u64, what: fmt::Arguments<'_>) {
        match self {
            EventLog::Off => {}
            EventLog::Hash(_) | EventLog::Lines(_) => {
                // Writing to a string, or into a number, cannot fail.
                let _ = writeln!(self, "{time:>8} {what}");
            }
        }
    }
}

impl fmt::Write for EventLog {
    fn write_str(&mut self, text: &str) -> fmt::Result {
        match self {
            EventLog::Off => {}
            EventLog::Hash(hash) => {
                for byte in text.bytes() {
                    *hash = (*hash ^ u64::from(byte)).wrapping_mul(0x0000_0100_0000_01B3);
                }
            }
            EventLog::Lines(lines) => lines.push_str(text),
        }
        Ok(())
    }
}
