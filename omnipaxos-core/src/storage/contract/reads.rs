//! Clauses about what reads give.

use super::Backend;
use super::subject::Subject;

/// A read gives the longest prefix of its range that costs at most `max_cost`, at least one record
/// of a range that is not empty, and nothing of one that is.
///
/// # Panics
/// When the backend breaks this clause.
pub fn read_gives_as_many_as_fit<B: Backend>(backend: &mut B) {
    let mut subject = Subject::open(backend, "read_gives_as_many_as_fit");
    subject.append_some(12);
    subject.read_all_ranges();
    subject.flush();
    subject.read_all_ranges();
    subject = subject.reopen();
    subject.read_all_ranges();
}

/// Reads see everything that was written before, whether it is open, sealed or durable.
///
/// # Panics
/// When the backend breaks this clause.
pub fn reads_see_what_is_not_durable<B: Backend>(backend: &mut B) {
    let mut subject = Subject::open(backend, "reads_see_what_is_not_durable");
    // The log consists of durable, sealed and open records at once, cut and trimmed at each border.
    for (cut, trimmed) in [(0, 0), (1, 1), (4, 2), (6, 5), (9, 7)] {
        let start = subject.end();
        subject.append_some(4);
        subject.flush();
        subject.append_some(3);
        subject.seal();
        subject.append_some(2);
        subject.read_all_ranges();
        subject.truncate(start + 9 - cut);
        subject.read_all_ranges();
        subject.append_some(1);
        subject.seal();
        subject.trim(subject.end().min(start + trimmed));
        subject.read_all_ranges();
        subject.run_next();
        subject.read_all_ranges();
        subject.flush();
        subject.read_all_ranges();
        subject.trim(subject.end());
    }
}

/// Ranges are read across the borders of appends, commits, cuts and openings.
///
/// # Panics
/// When the backend breaks this clause.
pub fn reads_cross_all_borders<B: Backend>(backend: &mut B) {
    let mut subject = Subject::open(backend, "reads_cross_all_borders");
    for count in [1, 2, 5] {
        subject.append_some(count);
        subject.append_some(1);
        subject.flush();
        subject.truncate(subject.end() - 1);
        subject.append_some(count);
        subject.flush();
        subject = subject.reopen();
        subject.append_some(1);
    }
    subject.trim(2);
    subject.read_all_ranges();
    subject.flush();
    subject = subject.reopen();
    subject.read_all_ranges();
}
