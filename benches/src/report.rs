//! Rows as a table for people, or as JSON.

use crate::library::Library;
use crate::summary::Row;
use comfy_table::presets::ASCII_MARKDOWN;
use comfy_table::{CellAlignment, Table};

const HEADER: [&str; 11] = [
    "scenario",
    "servers",
    "library",
    "p50",
    "p99",
    "max",
    "max / ours",
    "stalled",
    "changes after",
    "interrupted",
    "longest gap",
];

/// The table, in Markdown.
#[must_use]
pub fn table(rows: &[Row]) -> String {
    let mut table = Table::new();
    table.load_style(ASCII_MARKDOWN);
    table.set_header(HEADER);
    for row in rows {
        table.add_row(cells(row, rows));
    }
    for column in table.column_iter_mut().skip(3) {
        column.set_cell_alignment(CellAlignment::Right);
    }
    table.to_string()
}

/// One JSON object a line, one line a row.
///
/// # Errors
/// When a row cannot be written as JSON.
pub fn json(rows: &[Row]) -> serde_json::Result<String> {
    let lines = rows.iter().map(serde_json::to_string);
    Ok(lines.collect::<serde_json::Result<Vec<_>>>()?.join("\n"))
}

fn cells(row: &Row, rows: &[Row]) -> [String; 11] {
    let time = |time: Option<f64>| time.map_or("stalled".to_owned(), |time| format!("{time:.2}"));
    let gap = match row.longest_gap {
        gap if row.stalled >= 1.0 && gap <= 0.0 => "-".to_owned(),
        gap => format!("{gap:.2}"),
    };
    [
        row.scenario.name().to_owned(),
        row.servers.to_string(),
        row.library.name().to_owned(),
        time(row.p50),
        time(row.p99),
        time(row.max),
        ratio(row, rows).map_or("-".to_owned(), |ratio| format!("{ratio:.1}")),
        percent(row.stalled),
        match row.changes_after {
            0 => "0".to_owned(),
            most => format!("{most} (mean {:.1})", row.changes_after_mean),
        },
        percent(row.interrupted),
        gap,
    ]
}

fn percent(share: f64) -> String {
    format!("{:.1} %", 100.0 * share)
}

/// How many times longer than ours the longest time is.
fn ratio(row: &Row, rows: &[Row]) -> Option<f64> {
    let same = |other: &&Row| {
        let ours = other.library == Library::OmnipaxosCore;
        ours && (other.scenario, other.servers) == (row.scenario, row.servers)
    };
    Some(row.max? / rows.iter().find(same)?.max?)
}

#[cfg(test)]
mod tests {
    use super::{json, table};
    use crate::library::Library;
    use crate::scenario::Scenario;
    use crate::summary::Row;

    fn row(library: Library, max: Option<f64>) -> Row {
        Row {
            scenario: Scenario::QuorumLoss,
            servers: 5,
            library,
            p50: Some(1.25),
            p99: Some(2.0),
            max,
            changes_after: 0,
            stalled: 0.0,
            changes_before: 1,
            changes_after_mean: 0.0,
            longest_gap: 0.5,
            interrupted: 0.0,
            seeds: 10,
        }
    }

    #[test]
    fn a_row_says_how_much_longer_than_ours() {
        let rows = [
            row(Library::OmnipaxosCore, Some(2.5)),
            row(Library::Omnipaxos, Some(5.0)),
            row(Library::Raft, None),
        ];
        let table = table(&rows);
        let lines: Vec<&str> = table.lines().collect();
        assert_eq!(lines.len(), 5, "{table}");
        let words = |line: &str| line.split_whitespace().collect::<Vec<_>>().join(" ");
        let expected = "| quorum-loss | 5 | omnipaxos | 1.25 | 2.00 | 5.00 | 2.0 | 0.0 % | 0 \
                        | 0.0 % | 0.50 |";
        assert_eq!(words(lines[3]), expected);
        assert!(words(lines[4]).contains("| 2.00 | stalled | - |"), "{table}");
    }

    #[test]
    fn json_has_one_object_a_row() {
        let rows = [row(Library::Raft, None), row(Library::RaftPreVoteCheckQuorum, Some(3.0))];
        let text = json(&rows).unwrap();
        let lines: Vec<&str> = text.lines().collect();
        let start = r#"{"scenario":"quorum-loss","servers":5,"library":"raft","p50":1.25,"#;
        assert!(lines[0].starts_with(start), "{text}");
        assert!(lines[0].contains(r#""max":null,"changes_after":0,"stalled":0.0"#), "{text}");
        assert!(lines[1].contains(r#""library":"raft-pre-vote-check-quorum""#), "{text}");
    }
}
