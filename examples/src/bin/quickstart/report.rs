//! What the user sees: a progress bar on a terminal, plain lines elsewhere, and a table at the end.

use comfy_table::Table;
use comfy_table::presets::ASCII_MARKDOWN;
use indicatif::{ProgressBar, ProgressDrawTarget, ProgressStyle};
use std::cell::Cell;
use std::io::{IsTerminal as _, stderr};

/// Tells the user what happens.
pub(crate) struct Report {
    bar: ProgressBar,
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
        let bar = ProgressBar::with_draw_target(
            Some(total as u64),
            if kind == Kind::Terminal {
                ProgressDrawTarget::stderr()
            } else {
                ProgressDrawTarget::hidden()
            },
        );
        if let Ok(style) = ProgressStyle::with_template("{bar:40} {pos}/{len} lines decided") {
            bar.set_style(style);
        }
        Self { bar, kind, total, told: Cell::new(0) }
    }

    /// Something happened.
    pub(crate) fn event(&self, text: &str) {
        match self.kind {
            Kind::Quiet => {}
            Kind::Plain => eprintln!("{text}"),
            Kind::Terminal => self.bar.println(text),
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
        let mut table = Table::new();
        table.load_style(ASCII_MARKDOWN);
        table.set_header(["server", "state", "configuration", "leader", "decided", "log digest"]);
        for row in rows {
            table.add_row(row);
        }
        println!("{table}");
    }
}
