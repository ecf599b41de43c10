//! What the user sees: progress bars on a terminal, plain lines elsewhere, and a table at the end.

use crate::collector::SharedLog;
use comfy_table::Table;
use comfy_table::presets::ASCII_MARKDOWN;
use indicatif::{MultiProgress, ProgressBar, ProgressDrawTarget, ProgressStyle};
use std::cell::Cell;
use std::io::{IsTerminal as _, stderr};

/// Tells the user what happens.
pub(crate) struct Report {
    bars: MultiProgress,
    bar: ProgressBar,
    /// How much of the old log a new server has.
    migration: ProgressBar,
    kind: Kind,
    total: usize,
    /// Tenths of the lines that were told of, where there is no bar.
    told: Cell<usize>,
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Kind {
    Quiet,
    Plain,
    Terminal,
}

impl Report {
    pub(crate) fn new(total: usize, quiet: bool) -> Self {
        let kind = match (quiet, stderr().is_terminal()) {
            (true, _) => Kind::Quiet,
            (false, true) => Kind::Terminal,
            (false, false) => Kind::Plain,
        };
        let bars = MultiProgress::with_draw_target(if kind == Kind::Terminal {
            ProgressDrawTarget::stderr()
        } else {
            ProgressDrawTarget::hidden()
        });
        let bar = bars.add(ProgressBar::new(total as u64));
        if let Ok(style) = ProgressStyle::with_template("{bar:40} {pos}/{len} lines decided") {
            bar.set_style(style);
        }
        let migration = ProgressBar::new(0);
        let template = "{bar:40} {pos}/{len} records of the old log at the new server";
        if let Ok(style) = ProgressStyle::with_template(template) {
            migration.set_style(style);
        }
        Self { bars, bar, migration, kind, total, told: Cell::new(0) }
    }

    /// Something happened.
    pub(crate) fn event(&self, text: &str) {
        match self.kind {
            Kind::Quiet => {}
            Kind::Plain => eprintln!("{text}"),
            // Where the terminal is gone there is nobody to tell.
            Kind::Terminal => drop(self.bars.println(text)),
        }
    }

    /// How far a new server's migration is, if it has one.
    pub(crate) fn migration(&self, log: &SharedLog) {
        let Some((have, total)) = log.lock().migrated else {
            return;
        };
        if self.migration.length() == Some(0) {
            // Shown from the first time on.
            let _ = self.bars.add(self.migration.clone());
        }
        self.migration.set_length(total);
        self.migration.set_position(have);
        let done = have == total && !self.migration.is_finished();
        if done {
            self.migration.finish();
            self.event(&format!("the new server has fetched the {total} records of the old log"));
        }
    }

    /// So many lines are decided.
    pub(crate) fn decided(&self, lines: usize) {
        self.bar.set_position(lines as u64);
        let tenths = lines * 10 / self.total.max(1);
        if self.kind == Kind::Plain && tenths > self.told.replace(tenths) {
            eprintln!("{lines} of {} lines decided", self.total);
        }
    }

    /// The last word: one row per server.
    pub(crate) fn table(&self, rows: &[[String; 6]]) {
        self.bar.finish_and_clear();
        self.migration.finish_and_clear();
        let mut table = Table::new();
        table.load_style(ASCII_MARKDOWN);
        table.set_header(["server", "state", "configuration", "leader", "decided", "log digest"]);
        for row in rows {
            table.add_row(row);
        }
        println!("{table}");
    }
}
