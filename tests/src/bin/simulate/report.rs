//! What is printed.

use comfy_table::{Table, presets};
use omnipaxos_tests::planted::Find;
use omnipaxos_tests::sim::Stats;
use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::time::Duration;

/// Which planted fault was found within how many seeds, and by which check.
pub(crate) fn planted(finds: &[(Find, u64)]) -> Table {
    let mut table = Table::new();
    table.load_style(presets::ASCII_MARKDOWN);
    table.set_header(["planted fault", "seeds needed", "limit", "found by"]);
    for (find, limit) in finds {
        let (seeds, by) = match &find.violation {
            Some(violation) => (find.seeds.to_string(), violation.check.to_string()),
            None => ("not found".to_owned(), String::new()),
        };
        let name = format!("{:?}", find.plant);
        table.add_row([name, seeds, limit.to_string(), by]);
    }
    table
}

/// All counters.
pub(crate) fn summary(stats: &Stats) -> String {
    let mut text = String::new();
    let parts = [
        ("messages sent", &stats.messages),
        ("faults injected", &stats.faults),
        ("what the protocol went through", &stats.paths),
    ];
    for (title, counts) in parts {
        section(&mut text, title, counts);
    }
    let network = BTreeMap::from([
        ("lost at random", stats.lost),
        ("lost to cut links", stats.lost_to_cuts),
        ("delivered twice", stats.duplicated),
        ("overtook an earlier one", stats.overtaken),
        ("held back, then released", stats.released),
    ]);
    section(&mut text, "messages", &network);
    let _ = writeln!(
        text,
        "{} entries decided, {} ticks, {} events; slowest recovery {} ticks",
        stats.decided, stats.ticks, stats.events, stats.slowest_recovery
    );
    text
}

/// How fast.
pub(crate) fn pace(stats: &Stats, elapsed: Duration) -> String {
    let pace = stats.seeds as f64 / elapsed.as_secs_f64();
    let seconds = elapsed.as_secs_f64();
    format!("{} seeds in {seconds:.1} s: {pace:.0} seeds a second", stats.seeds)
}

fn section(text: &mut String, title: &str, counts: &BTreeMap<&'static str, u64>) {
    let _ = writeln!(text, "{title}:");
    for (name, count) in counts {
        let _ = writeln!(text, "  {count:>12}  {name}");
    }
}
