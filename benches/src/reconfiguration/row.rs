//! What came out, for people and for programs.

use super::agenda::MILLISECOND;
use super::case::{Change, TIMEOUT};
use comfy_table::presets::ASCII_MARKDOWN;
use comfy_table::{CellAlignment, Table};
use serde::Serialize;

/// The longest that a change may take, by what the uplinks allow.
const BOUND: f64 = 1.3;

/// The least that clients who propose steadily may have decided in an election timeout, in percent
/// of what they had before, while one server is replaced.
const THROUGHPUT: f64 = 80.0;

/// How much less the leader is to send: the paper's 46 %.
const LEADER_BYTES: f64 = 1.0 / (1.0 - 0.46);

/// What one run has shown.
#[derive(Clone, Copy, Debug)]
pub struct Measured {
    /// Seconds until all new servers voted.
    pub period: f64,
    /// Seconds that the uplinks allow.
    pub bound: f64,
    /// Megabytes that the leader sent until then.
    pub leader: f64,
    /// Those of them that were none of its replica's and its election's, where that is known.
    pub change: Option<f64>,
    /// What was decided in the worst election timeout, by what was before.
    pub least_share: f64,
    /// The longest time without a decision, in election timeouts.
    pub gap: f64,
    /// Proposals that were lost, decided twice or overtaken by later ones.
    pub wrong: u64,
}

/// One comparison of all donors with the leader as the only one.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Row {
    /// What is measured, and its unit.
    pub work: String,
    /// With all donors.
    pub ours: f64,
    /// With the leader as the only one.
    pub leader_only: f64,
    /// How many times as much that is; `None` where ours is 0.
    pub ratio: Option<f64>,
    /// What is to be reached.
    pub goal: Option<&'static str>,
    /// Whether it is.
    pub met: Option<bool>,
}

impl Row {
    fn new(work: String, ours: f64, leader_only: f64) -> Self {
        let ratio = (ours > 0.0).then(|| leader_only / ours);
        Self { work, ours, leader_only, ratio, goal: None, met: None }
    }

    fn goal(self, goal: &'static str, met: bool) -> Self {
        Self { goal: Some(goal), met: Some(met), ..self }
    }
}

/// The rows of a change under load.
#[must_use]
pub fn loaded(change: Change, ours: Measured, leader: Measured) -> Vec<Row> {
    let what = match change {
        Change::One => "1 of 5 replaced",
        Change::Majority => "3 of 5 replaced",
    };
    let row = |work: &str, of: fn(&Measured) -> f64| {
        Row::new(format!("{what}: {work}"), of(&ours), of(&leader))
    };
    let bound = format!("the same by its bound, {:.2} s", ours.bound);
    let by_bound = ours.period / ours.bound;
    let least = row("least throughput, %", |m| 100.0 * m.least_share);
    let wrong = row("proposals lost, doubled or overtaken", |m| m.wrong as f64);
    let period = row("until the new servers vote, s", |m| m.period);
    let mut rows = vec![
        Row { goal: Some("paper: up to 8x"), ..period },
        Row::new(format!("{what}: {bound}"), by_bound, leader.period / ours.bound)
            .goal("ours <= 1.3", by_bound <= BOUND),
    ];
    let bytes = row("the leader's MB until then", |m| m.leader);
    let ratio = leader.leader / ours.leader;
    rows.push(bytes.goal("ratio >= 1.85", ratio >= LEADER_BYTES));
    if ours.change.is_some() {
        rows.push(row("of these for the change", |m| m.change.unwrap_or_default()));
    }
    rows.push(match change {
        Change::One => least.goal("ours >= 80", 100.0 * ours.least_share >= THROUGHPUT),
        // The new configuration has no quorum before a new server has everything.
        Change::Majority => least,
    });
    rows.push(wrong.goal("ours = 0", ours.wrong == 0));
    rows
}

/// The rows of a change without load.
#[must_use]
pub fn idle(ours: Measured, leader: Measured) -> Vec<Row> {
    let row = |work: &str, of: fn(&Measured) -> f64| {
        Row::new(format!("1 of 5 replaced, idle: {work}"), of(&ours), of(&leader))
    };
    vec![
        row("election timeouts without decision", |m| m.gap).goal("ours < 1", ours.gap < 1.0),
        row("the same in ms", |m| m.gap * TIMEOUT as f64 / MILLISECOND as f64),
    ]
}

/// The rows in Markdown.
#[must_use]
pub fn table(rows: &[Row]) -> String {
    let mut table = Table::new();
    table.load_style(ASCII_MARKDOWN);
    table.set_header(["work", "ours", "leader only", "ratio", "goal", "met"]);
    for row in rows {
        table.add_row([
            row.work.clone(),
            number(row.ours),
            number(row.leader_only),
            row.ratio.map_or("-".to_owned(), |ratio| format!("{ratio:.2}")),
            row.goal.unwrap_or("-").to_owned(),
            row.met.map_or("-", |met| if met { "yes" } else { "no" }).to_owned(),
        ]);
    }
    for column in table.column_iter_mut().skip(1).take(3) {
        column.set_cell_alignment(CellAlignment::Right);
    }
    table.to_string()
}

fn number(value: f64) -> String {
    match value {
        v if v == v.trunc() => format!("{v:.0}"),
        v if v >= 100.0 => format!("{v:.0}"),
        v if v >= 10.0 => format!("{v:.1}"),
        v => format!("{v:.2}"),
    }
}

#[cfg(test)]
mod tests {
    use super::{Measured, idle, loaded, table};
    use crate::reconfiguration::case::Change;

    const OURS: Measured = Measured {
        period: 1.2,
        bound: 1.0,
        leader: 10.0,
        change: Some(5.0),
        least_share: 0.79,
        gap: 0.5,
        wrong: 0,
    };

    #[test]
    fn goals_look_at_what_they_name() {
        let leader = Measured { period: 9.6, leader: 18.0, ..OURS };
        let met = |change, ours| -> Vec<Option<bool>> {
            loaded(change, ours, leader).iter().map(|row| row.met).collect()
        };
        let (yes, no) = (Some(true), Some(false));
        assert_eq!(met(Change::One, OURS), [None, yes, no, None, no, yes]);
        assert_eq!(met(Change::Majority, OURS), [None, yes, no, None, None, yes]);
        let other = Measured { period: 1.31, leader: 9.7, least_share: 0.8, wrong: 1, ..OURS };
        assert_eq!(met(Change::One, other), [None, no, yes, None, yes, no]);
        assert_eq!(idle(OURS, leader)[0].met, yes);
        assert_eq!(idle(Measured { gap: 1.0, ..OURS }, leader)[0].met, no);
        assert_eq!(idle(OURS, leader)[1].ours, 100.0);
    }

    #[test]
    fn rows_have_the_fields_that_others_read() {
        let rows = idle(OURS, OURS);
        let json = serde_json::to_value(&rows[0]).unwrap();
        let fields: Vec<_> = json.as_object().unwrap().keys().map(String::as_str).collect();
        let expected = ["work", "ours", "leader_only", "ratio", "goal", "met"];
        assert_eq!(fields.len(), expected.len());
        assert!(expected.iter().all(|field| fields.contains(field)), "{fields:?}");
        assert!(table(&rows).contains("ours < 1"));
    }
}
