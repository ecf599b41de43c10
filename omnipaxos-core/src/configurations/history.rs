//! Which configurations there were: small facts that are kept for ever.

use super::configuration::Configuration;
use super::error::{Conflict, HistoryError, MergeError};
use crate::ballot::Ballot;
use crate::digest::Anchor;
use crate::storage::{ConfigId, Entry, StopSign};
use serde::{Deserialize, Serialize};

/// How a configuration ended: a decided fact, the same for everyone.
#[derive(Clone, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct Ended {
    /// The configuration that ended.
    pub config_id: ConfigId,
    /// How many records its log has, the StopSign included.
    pub len: u64,
    /// Its last record; names the next configuration.
    pub stop_sign: StopSign,
    /// The digest of the whole log; `None` where nobody had it.
    pub anchor: Option<Anchor>,
    /// A round in which all of the log was chosen, or a later one.
    pub round: Ballot,
    /// An operator ended it because its majority was lost: entries may be missing.
    pub forced: bool,
}

impl Ended {
    /// Whether both tell of the same end. How it came about and was learned may differ: a replica
    /// knows nothing of an operator, and not every server has the digest.
    fn agrees(&self, other: &Self) -> bool {
        let digests = match (self.anchor, other.anchor) {
            (Some(ours), Some(theirs)) => ours == theirs,
            _ => true,
        };
        self.config_id == other.config_id
            && self.len == other.len
            && self.stop_sign == other.stop_sign
            && digests
    }

    /// What it counts against limits, in bytes.
    pub(super) fn cost(&self) -> u64 {
        Entry::stop_sign(self.stop_sign.clone()).cost()
    }

    /// Whether a configuration can end so.
    fn check(&self) -> Result<(), HistoryError> {
        let Ended { config_id, len, .. } = *self;
        let next = Configuration::after(&self.stop_sign);
        if Some(next.config_id) != config_id.checked_add(1) {
            return Err(HistoryError::StopSign { config_id, next: next.config_id });
        }
        if len == 0 || self.anchor.is_some_and(|anchor| anchor.end != len) {
            return Err(HistoryError::Length { config_id, len });
        }
        next.check()
            .map_err(|error| HistoryError::Configuration { config_id: next.config_id, error })
    }
}

/// The configurations from the first one on: how all but the newest one ended.
///
/// The logs of the configurations, one after the other, are one log with a global index.
#[derive(Clone, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct History {
    /// The first configuration.
    pub first: Configuration,
    /// How each one ended, from the first one on.
    pub ended: Vec<Ended>,
}

impl History {
    /// The history of a cluster that begins.
    #[must_use]
    pub fn new(first: Configuration) -> Self {
        Self { first, ended: Vec::new() }
    }

    /// The newest configuration.
    #[must_use]
    pub fn newest(&self) -> Configuration {
        match self.ended.last() {
            Some(ended) => Configuration::after(&ended.stop_sign),
            None => self.first.clone(),
        }
    }

    /// The number of the newest configuration.
    #[must_use]
    pub fn newest_id(&self) -> ConfigId {
        self.ended.last().map_or(self.first.config_id, |ended| ended.stop_sign.config_id)
    }

    /// Configuration `config_id`; `None` where it is not known.
    #[must_use]
    pub fn configuration(&self, config_id: ConfigId) -> Option<Configuration> {
        match config_id.checked_sub(self.first.config_id)? {
            0 => Some(self.first.clone()),
            after => Some(Configuration::after(&self.at(after - 1)?.stop_sign)),
        }
    }

    /// How configuration `config_id` ended; `None` where it has not, or is not known.
    #[must_use]
    pub fn ended(&self, config_id: ConfigId) -> Option<&Ended> {
        self.at(config_id.checked_sub(self.first.config_id)?)
    }

    /// The configurations that an operator ended by force: entries of theirs may be lost.
    pub fn forced(&self) -> impl Iterator<Item = ConfigId> + '_ {
        self.ended.iter().filter(|ended| ended.forced).map(|ended| ended.config_id)
    }

    /// The configurations from `config_id` on.
    pub fn configurations_from(
        &self,
        config_id: ConfigId,
    ) -> impl Iterator<Item = Configuration> + '_ {
        let skip = config_id.saturating_sub(self.first.config_id);
        let first = Some(self.first.clone()).filter(|_| skip == 0);
        let skip = usize::try_from(skip.saturating_sub(1)).unwrap_or(usize::MAX);
        let rest = self.ended.iter().skip(skip);
        first.into_iter().chain(rest.map(|ended| Configuration::after(&ended.stop_sign)))
    }

    /// The global index of index 0 of configuration `config_id`; `None` where it is not known.
    #[must_use]
    pub fn base(&self, config_id: ConfigId) -> Option<u64> {
        let before = usize::try_from(config_id.checked_sub(self.first.config_id)?).ok()?;
        Some(self.ended.get(..before)?.iter().map(|ended| ended.len).sum())
    }

    /// The global index of index `index` of configuration `config_id`; `None` where there is none.
    #[must_use]
    pub fn global(&self, config_id: ConfigId, index: u64) -> Option<u64> {
        match self.ended(config_id) {
            Some(ended) if index >= ended.len => None,
            _ => self.base(config_id)?.checked_add(index),
        }
    }

    /// The configuration of global index `global`, and the index in its log. What lies behind all
    /// that has ended belongs to the newest one.
    #[must_use]
    pub fn local(&self, global: u64) -> (ConfigId, u64) {
        let mut index = global;
        for ended in &self.ended {
            match index.checked_sub(ended.len) {
                Some(rest) => index = rest,
                None => return (ended.config_id, index),
            }
        }
        (self.newest_id(), index)
    }

    /// Whether there can be such a history.
    ///
    /// # Errors
    /// [`HistoryError`] where there cannot.
    pub fn check(&self) -> Result<(), HistoryError> {
        let config_id = self.first.config_id;
        self.first.check().map_err(|error| HistoryError::Configuration { config_id, error })?;
        let (mut expected, mut total) = (config_id, 0u64);
        for ended in &self.ended {
            if ended.config_id != expected {
                return Err(HistoryError::Order { expected, found: ended.config_id });
            }
            ended.check()?;
            let Ended { config_id, len, .. } = *ended;
            total = total.checked_add(len).ok_or(HistoryError::Length { config_id, len })?;
            expected = ended.stop_sign.config_id;
        }
        Ok(())
    }

    /// Takes over what `ended` tells that is not known here. Its elements follow each other; those
    /// that begin behind what is known here are of no use, and change nothing. Returns whether
    /// something was new.
    ///
    /// # Errors
    /// [`MergeError`] when `ended` is impossible or contradicts what is known. Nothing changed.
    pub fn merge(&mut self, ended: &[Ended]) -> Result<bool, MergeError> {
        let Some(start) = ended.first().map(|ended| ended.config_id) else { return Ok(false) };
        let known = start
            .checked_sub(self.first.config_id)
            .and_then(|at| usize::try_from(at).ok())
            .filter(|at| *at <= self.ended.len());
        let Some(at) = known else {
            // Not comparable, but it may still be impossible in itself.
            ended.iter().try_for_each(Ended::check)?;
            return Ok(false);
        };
        let mut merged = Self { first: self.first.clone(), ended: self.ended[..at].to_vec() };
        merged.ended.extend_from_slice(ended);
        merged.check()?;
        for (ours, theirs) in self.ended[at..].iter().zip(ended) {
            if !ours.agrees(theirs) {
                let (ours, theirs) = (Box::new(ours.clone()), Box::new(theirs.clone()));
                return Err(Box::new(Conflict::Ended { ours, theirs }).into());
            }
        }
        let mut new = false;
        for (ours, theirs) in self.ended[at..].iter_mut().zip(ended) {
            if ours.anchor.is_none() && theirs.anchor.is_some() {
                ours.anchor = theirs.anchor;
                new = true;
            }
            if theirs.forced && !ours.forced {
                ours.forced = true;
                new = true;
            }
        }
        let overlap = self.ended.len() - at;
        if let Some(rest) = ended.get(overlap..).filter(|rest| !rest.is_empty()) {
            self.ended.extend_from_slice(rest);
            new = true;
        }
        Ok(new)
    }

    fn at(&self, at: u64) -> Option<&Ended> {
        self.ended.get(usize::try_from(at).ok()?)
    }
}
