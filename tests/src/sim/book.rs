//! What a server keeps beside its logs: which configurations there were, and whether it retired.

use super::rng::Rng;
use omnipaxos_core::configurations::History;
use std::collections::VecDeque;

/// What is written down, each time as a whole.
#[derive(Clone, Debug, Default)]
pub(super) struct Page {
    pub(super) history: Option<History>,
    pub(super) retired: bool,
}

/// A small file that is replaced atomically: a crash leaves what was there, or what was being
/// written.
#[derive(Clone, Debug, Default)]
pub(super) struct Book {
    medium: Page,
    /// By version.
    under_way: VecDeque<(u64, Page)>,
}

impl Book {
    /// What a crash would leave at least.
    pub(super) fn medium(&self) -> &Page {
        &self.medium
    }

    /// Begins to write.
    pub(super) fn write(&mut self, version: u64, page: Page) {
        self.under_way.push_back((version, page));
    }

    /// What was being written, up to `version`, is durable.
    pub(super) fn complete(&mut self, version: u64) {
        while let Some((_, page)) = self.under_way.pop_front_if(|(at, _)| *at <= version) {
            self.medium = page;
        }
    }

    /// The process is gone: any prefix of what was being written is there. Returns how much of it
    /// survived, and how much did not.
    pub(super) fn crash(&mut self, rng: &mut Rng) -> (u64, u64) {
        let under_way = self.under_way.len() as u64;
        let survived = rng.between(0, under_way);
        for (_, page) in self.under_way.drain(..).take(survived as usize) {
            self.medium = page;
        }
        (survived, under_way - survived)
    }
}
