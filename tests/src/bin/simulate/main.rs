use omnipaxos_tests::sim::*;
fn main() {
    let mut stats = Stats::default();
    let n: u64 = std::env::args().nth(1).map_or(100, |a| a.parse().unwrap());
    let from: u64 = std::env::args().nth(2).map_or(0, |a| a.parse().unwrap());
    let t = std::time::Instant::now();
    let mut bad = 0;
    for seed in from..from + n {
        let report = run(seed, EventLog::Off);
        if let Some(v) = &report.violation {
            bad += 1;
            if bad < 12 {
                println!("{seed}: {v}");
            }
        }
        stats.add(&report.stats);
    }
    println!("{stats:#?} {bad} bad, {:?}", t.elapsed());
}
