//! The user of a server: clients that propose at a steady pace, and a ledger of what is decided.

use super::super::ledger::Ledger;
use super::talk::{Report, Say, Seen, now};
use kompact::prelude::*;
use omnipaxos_core::configurations::Progress;
use omnipaxos_core::storage::ConfigId;
use omnipaxos_kompact::server::{LogPort, LogRequest, ServerEvent};
use std::collections::VecDeque;
use std::io::stdout;
use std::time::{Duration, Instant};

/// Decisions so close to each other are noted as one.
const TOGETHER: u64 = 100_000;

/// How often clients look at the clock.
const PERIOD: Duration = Duration::from_millis(1);

/// What a user is asked.
#[derive(Debug)]
pub enum Question {
    /// Propose so many entries a millisecond.
    Load(f64),
    /// How far are you?
    Seen(KPromise<Seen>),
    /// What became of the proposals below this one, which are all there are?
    Report(u64, KPromise<Result<Report, String>>),
}

/// See the [module](self).
#[derive(ComponentDefinition)]
pub struct User {
    ctx: ComponentContext<Self>,
    log: RequiredPort<LogPort>,
    ledger: Ledger,
    /// Proposals a millisecond.
    load: f64,
    /// For so long clients go on without answers.
    patience: Duration,
    /// Proposals that are due, or a part of one.
    due: f64,
    looked: Instant,
    next: u64,
    open: u64,
    decisions: VecDeque<(u64, u64)>,
    /// How much of which log was fetched, in quarters.
    quarter: Option<(ConfigId, u64)>,
}

impl User {
    /// Clients that will propose `first`, `first + 1`, ...
    #[must_use]
    pub fn new(first: u64, patience: Duration) -> Self {
        Self {
            ctx: ComponentContext::uninitialised(),
            log: RequiredPort::uninitialised(),
            ledger: Ledger::new(first),
            load: 0.0,
            patience,
            due: 0.0,
            looked: Instant::now(),
            next: first,
            open: 0,
            decisions: VecDeque::new(),
            quarter: None,
        }
    }

    /// What should have been proposed since the last time, as long as no more than a patience's
    /// worth is open: whoever waits for so many answers asks for nothing more.
    fn propose(&mut self) {
        let now = Instant::now();
        let passed = now.duration_since(self.looked).as_secs_f64() * 1e3;
        self.looked = now;
        self.due += passed * self.load;
        let count = self.due as u64;
        self.due -= count as f64;
        let most = (self.patience.as_secs_f64() * 1e3 * self.load) as u64;
        for _ in 0..count.min(most.saturating_sub(self.open)) {
            let (token, data) = (self.next, self.next.to_le_bytes().to_vec().into());
            self.log.trigger(LogRequest::Propose { token, data });
            self.next += 1;
            self.open += 1;
        }
    }

    fn decided(&mut self) {
        let now = now();
        self.open -= 1;
        match self.decisions.back_mut() {
            Some((at, count)) if now.saturating_sub(*at) < TOGETHER => *count += 1,
            _ => self.decisions.push_back((now, 1)),
        }
    }

    /// Not every segment is worth a line.
    fn fetched(&mut self, config_id: ConfigId, progress: &Progress) {
        let Progress { have, total, .. } = *progress;
        if have == 0 || total == 0 {
            return;
        }
        let now_at = (config_id, 4 * have / total);
        if self.quarter.replace(now_at) != Some(now_at) {
            let megabytes = |bytes: u64| bytes as f64 / 1e6;
            let donors = progress.donors.iter().map(|d| (d.pid, megabytes(d.bytes))).collect();
            say(&Say::Fetched { at: now(), config_id, quarters: now_at.1, donors });
        }
    }

    fn report(&mut self, end: u64) -> Result<Report, String> {
        let account = self.ledger.account(end).map_err(|e| e.to_string())?;
        Ok(Report { account, decisions: std::mem::take(&mut self.decisions).into() })
    }
}

/// Says something to the program that has started this one.
pub fn say(what: &Say) {
    // Where that is gone, this process ends, too.
    let _ = super::talk::write(&mut stdout().lock(), what);
}

impl ComponentLifecycle for User {
    fn on_start(&mut self) -> HandlerResult {
        self.schedule_periodic(PERIOD, PERIOD, |user, _| {
            user.propose();
            Handled::OK
        });
        Handled::OK
    }
}

impl Actor for User {
    type Message = Question;

    fn receive_local(&mut self, question: Question) -> HandlerResult {
        // Whoever asked may have given up.
        match question {
            Question::Load(load) => self.load = load,
            Question::Seen(promise) => {
                let end = self.ledger.end();
                let _ = promise.fulfil(Seen { next: self.next, open: self.open, end });
            }
            Question::Report(end, promise) => {
                let _ = promise.fulfil(self.report(end));
            }
        }
        Handled::OK
    }

    fn receive_network(&mut self, _: NetMessage) -> HandlerResult {
        Handled::OK
    }
}

impl Require<LogPort> for User {
    fn handle(&mut self, event: ServerEvent) -> HandlerResult {
        match event {
            ServerEvent::Proposed { result: Ok(_), .. } => self.decided(),
            ServerEvent::Proposed { result: Err(e), .. } => say(&Say::Failed(e.to_string())),
            ServerEvent::Decided(batch) => {
                let seen = batch.entries.iter().try_for_each(|data| self.ledger.see(data));
                if let Err(e) = seen {
                    say(&Say::Failed(e.to_string()));
                }
            }
            ServerEvent::ConfigurationStarted { configuration, base } => {
                let config_id = configuration.config_id;
                say(&Say::Started { at: now(), config_id, base });
            }
            ServerEvent::Migrating { config_id, progress } => self.fetched(config_id, &progress),
            ServerEvent::LeaderChanged { config_id, leader } => {
                say(&Say::Follows { at: now(), config_id, leader });
            }
            ServerEvent::Halted { reason } => say(&Say::Failed(reason.to_string())),
            _ => {}
        }
        Handled::OK
    }
}
