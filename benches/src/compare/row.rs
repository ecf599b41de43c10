//! Rows of the comparison, for people and for programs.

use comfy_table::presets::ASCII_MARKDOWN;
use comfy_table::{CellAlignment, Table};
use serde::Serialize;

/// One comparison. What `ratio` is to reach depends on the row: see `goal`.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Row {
    /// What is done.
    pub work: String,
    /// Whom it is compared with: a library, a limit, or another load of ours.
    pub peer: String,
    /// Ours.
    pub ours: f64,
    /// Theirs.
    pub theirs: f64,
    /// The unit of both.
    pub unit: &'static str,
    /// Ours by theirs.
    pub ratio: f64,
    /// What the ratio is to be: `>= x` or `<= x`.
    pub goal: Option<Goal>,
    /// Whether it is.
    pub met: Option<bool>,
}

/// What a ratio is to be.
#[derive(Clone, Copy, Debug, PartialEq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Goal {
    /// At least this.
    AtLeast(f64),
    /// At most this.
    AtMost(f64),
}

impl Goal {
    /// Whether `ratio` is as it is to be.
    #[must_use]
    pub fn is_met(self, ratio: f64) -> bool {
        match self {
            Goal::AtLeast(least) => ratio >= least,
            Goal::AtMost(most) => ratio <= most,
        }
    }

    fn text(self) -> String {
        match self {
            Goal::AtLeast(least) => format!(">= {least}"),
            Goal::AtMost(most) => format!("<= {most}"),
        }
    }
}

impl Row {
    /// A row without a goal.
    #[must_use]
    pub fn new(work: String, peer: &str, ours: f64, theirs: f64, unit: &'static str) -> Self {
        let (peer, ratio) = (peer.to_owned(), ours / theirs);
        Self { work, peer, ours, theirs, unit, ratio, goal: None, met: None }
    }

    /// The median ratio of measurements that were made next to each other.
    #[must_use]
    pub fn ratio(self, ratio: f64) -> Self {
        Self { ratio, ..self }
    }

    /// The goal is that there is none of ours.
    #[must_use]
    pub fn none(self) -> Self {
        let ratio = if self.ours > 0.0 { f64::INFINITY } else { 0.0 };
        self.ratio(ratio).goal(Goal::AtMost(0.0))
    }

    /// What the ratio is to be.
    #[must_use]
    pub fn goal(self, goal: Goal) -> Self {
        Self { goal: Some(goal), met: Some(goal.is_met(self.ratio)), ..self }
    }
}

/// The rows in Markdown.
#[must_use]
pub fn table(rows: &[Row]) -> String {
    let mut table = Table::new();
    table.load_style(ASCII_MARKDOWN);
    table.set_header(["work", "peer", "ours", "theirs", "unit", "ratio", "goal", "met"]);
    for row in rows {
        table.add_row([
            row.work.clone(),
            row.peer.clone(),
            number(row.ours),
            number(row.theirs),
            row.unit.to_owned(),
            format!("{:.2}", row.ratio),
            row.goal.map_or("-".to_owned(), Goal::text),
            row.met.map_or("-", |met| if met { "yes" } else { "no" }).to_owned(),
        ]);
    }
    for at in [2, 3, 5, 6] {
        if let Some(column) = table.column_mut(at) {
            column.set_cell_alignment(CellAlignment::Right);
        }
    }
    table.to_string()
}

fn number(value: f64) -> String {
    match value.abs() {
        0.0 => "0".to_owned(),
        v if v >= 1e6 => format!("{:.2} M", value / 1e6),
        v if v >= 1e4 => format!("{:.0} k", value / 1e3),
        v if v >= 100.0 => format!("{value:.0}"),
        _ => format!("{value:.3}"),
    }
}

#[cfg(test)]
mod tests {
    use super::{Goal, Row, table};

    #[test]
    fn goals_look_at_the_ratio() {
        let row = |ours| Row::new("a".to_owned(), "b", ours, 2.0, "c");
        assert_eq!(row(6.0).goal(Goal::AtLeast(3.0)).met, Some(true));
        assert_eq!(row(5.9).goal(Goal::AtLeast(3.0)).met, Some(false));
        assert_eq!(row(2.0).goal(Goal::AtMost(1.0)).met, Some(true));
        assert_eq!(row(2.1).goal(Goal::AtMost(1.0)).met, Some(false));
        assert_eq!(row(1.0).ratio(7.0).goal(Goal::AtLeast(7.0)).met, Some(true));
        assert_eq!(row(1.0).met, None);
    }

    #[test]
    fn rows_have_the_fields_that_others_read() {
        let row = Row::new("w".to_owned(), "p", 3.0, 2.0, "u").goal(Goal::AtLeast(1.5));
        let json = serde_json::to_value(&row).unwrap();
        let fields: Vec<_> = json.as_object().unwrap().keys().map(String::as_str).collect();
        let expected = ["work", "peer", "ours", "theirs", "unit", "ratio", "goal", "met"];
        assert_eq!(fields.len(), expected.len());
        assert!(expected.iter().all(|field| fields.contains(field)), "{fields:?}");
        assert!(table(&[row]).contains(">= 1.5"));
    }
}
