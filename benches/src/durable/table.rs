//! Tables for people, in Markdown.

use super::commits::Row;
use super::latency::Latency;
use super::restart::Restart;
use super::stats::Spread;
use comfy_table::presets::ASCII_MARKDOWN;
use comfy_table::{CellAlignment, Table};

/// Rows of commits.
#[must_use]
pub fn commits(rows: &[Row]) -> String {
    let header =
        ["payload", "batch", "floor", "ours", "raw", "ratio", "goal", "met", "entries/s, ours"];
    let cells = rows.iter().map(|row| {
        vec![
            row.payload.to_string(),
            row.batch.to_string(),
            row.floor.name().to_owned(),
            rates(row.ours),
            rates(row.raw),
            format!("{:.2} ({:.2}-{:.2})", row.ratio.median, row.ratio.min, row.ratio.max),
            row.goal.map_or("-".to_owned(), |goal| format!("{goal:.2}")),
            row.met.map_or("-", |met| if met { "yes" } else { "no" }).to_owned(),
            whole(row.entries),
        ]
    });
    render(&header, 3, cells)
}

/// Rows of latencies.
#[must_use]
pub fn latencies(rows: &[Latency]) -> String {
    let header = ["who", "p50", "p99", "p99.9", "max", "commits"];
    let cells = rows.iter().map(|row| {
        let times = [row.p50, row.p99, row.p999, row.max].map(whole);
        let ends = [whole(row.commits as f64)];
        [row.who.to_owned()].into_iter().chain(times).chain(ends).collect()
    });
    render(&header, 1, cells)
}

/// Rows of long logs.
#[must_use]
pub fn restarts(rows: &[Restart]) -> String {
    let header =
        ["entries", "batch", "MB on disk", "bytes/entry", "open, ms", "restart, ms", "read, MB/s"];
    let cells = rows.iter().map(|row| {
        vec![
            row.log.to_string(),
            row.batch.to_string(),
            format!("{:.1}", row.megabytes),
            format!("{:.1}", row.bytes_per_entry),
            whole(row.open_ms),
            whole(row.restart_ms),
            whole(row.read_mb_per_s),
        ]
    });
    render(&header, 0, cells)
}

fn rates(spread: Spread) -> String {
    format!("{} ({}-{})", whole(spread.median), whole(spread.min), whole(spread.max))
}

/// A whole number, its thousands apart.
fn whole(number: f64) -> String {
    let digits = format!("{:.0}", number.max(0.0));
    let mut grouped = String::with_capacity(digits.len() * 4 / 3);
    for (place, digit) in digits.chars().enumerate() {
        if place > 0 && (digits.len() - place) % 3 == 0 {
            grouped.push(',');
        }
        grouped.push(digit);
    }
    grouped
}

/// A table whose columns from `numbers` on are numbers.
fn render(header: &[&str], numbers: usize, rows: impl Iterator<Item = Vec<String>>) -> String {
    let mut table = Table::new();
    table.load_style(ASCII_MARKDOWN);
    table.set_header(header);
    table.add_rows(rows);
    for column in table.column_iter_mut().skip(numbers) {
        column.set_cell_alignment(CellAlignment::Right);
    }
    table.to_string()
}

#[cfg(test)]
mod tests {
    use super::{commits, whole};
    use crate::durable::commits::{Floor, Row};
    use crate::durable::load::Load;

    #[test]
    fn thousands_are_apart() {
        let shown = [0.0, 999.4, 1000.0, 1_234_567.0].map(whole);
        assert_eq!(shown, ["0", "999", "1,000", "1,234,567"]);
    }

    #[test]
    fn a_row_says_whether_its_goal_is_met() {
        let load = Load::new(256, 1);
        let rows = [Row::of(&load, Floor::Preallocated, &[900.0, 8800.0], &[1000.0, 10_000.0])];
        let table = commits(&rows);
        let line = table.lines().last().unwrap_or_default();
        let words = line.split_whitespace().collect::<Vec<_>>().join(" ");
        let expected = "| 256 | 1 | preallocated | 4,850 (900-8,800) | 5,500 (1,000-10,000) \
                        | 0.89 (0.88-0.90) | 0.85 | yes | 4,850 |";
        assert_eq!(words, expected);
    }
}
