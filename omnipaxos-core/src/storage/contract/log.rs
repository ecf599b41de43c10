//! Clauses about the positions of the log: append, truncate, trim, and what is refused.

use super::Backend;
use super::subject::Subject;

/// A new pair holds nothing: both indexes are 0 and there is no state, also when it is reopened.
///
/// # Panics
/// When the backend breaks this clause.
pub fn a_new_pair_is_empty<B: Backend>(backend: &mut B) {
    let subject = Subject::open(backend, "a_new_pair_is_empty");
    subject.read_all_ranges();
    let subject = subject.reopen();
    subject.check();
    subject.reopen().check();
}

/// Records are appended at the end index, whatever was there before.
///
/// # Panics
/// When the backend breaks this clause.
pub fn append_goes_to_the_end<B: Backend>(backend: &mut B) {
    let mut subject = Subject::open(backend, "append_goes_to_the_end");
    for count in [1, 3, 7, 1, 1, 20] {
        subject.append_some(count);
        subject.check();
    }
    subject.flush();
    let mut subject = subject.reopen();
    subject.append_some(4);
    subject.check();
    subject.flush();
    subject.reopen().check();
}

/// An append without records changes nothing.
///
/// # Panics
/// When the backend breaks this clause.
pub fn append_of_nothing_changes_nothing<B: Backend>(backend: &mut B) {
    let mut subject = Subject::open(backend, "append_of_nothing_changes_nothing");
    for _ in 0..2 {
        subject.append(Vec::new());
        subject.append(Vec::new());
        subject.flush();
        subject = subject.reopen();
        subject.append_some(3);
        subject.append(Vec::new());
        subject.flush();
        subject = subject.reopen();
        subject.trim(subject.end());
        subject.append(Vec::new());
        subject.flush();
        subject = subject.reopen();
    }
}

/// Truncating removes the records at `from` and above, all others stay, and the next append goes
/// to `from`.
///
/// # Panics
/// When the backend breaks this clause.
pub fn truncate_removes_the_end<B: Backend>(backend: &mut B) {
    let mut subject = Subject::open(backend, "truncate_removes_the_end");
    subject.truncate(0);
    for flushed in [false, true] {
        subject.append_some(10);
        for from in [10, 9, 7, 7, 4, 0] {
            if flushed {
                subject.flush();
                subject = subject.reopen();
            }
            subject.truncate(from);
            subject.check();
        }
        subject.append_some(5);
        subject.truncate(2);
        subject.append_some(2);
        subject.check();
        subject.truncate(0);
        subject.truncate(0);
        subject.check();
    }
}

/// Records that are durable can be cut and replaced by others, any number of times.
///
/// # Panics
/// When the backend breaks this clause.
pub fn durable_records_can_be_replaced<B: Backend>(backend: &mut B) {
    let mut subject = Subject::open(backend, "durable_records_can_be_replaced");
    subject.append_some(10);
    subject.flush();
    for from in [4, 4, 5, 3, 0, 2] {
        // First a cut that is lost, with shorter and with longer ends than before.
        for count in [1, 20] {
            subject.truncate(from);
            subject.append_some(count);
            subject.check();
            subject = subject.reopen();
        }
        // A backend that keeps everything has a longer log by now.
        subject.truncate(from);
        subject.append_some(4);
        subject.flush();
        subject.check();
        subject = subject.reopen();
    }
    subject.truncate(3);
    subject.flush();
    subject = subject.reopen();
    subject.append_some(1);
    subject.flush();
    subject.reopen().check();
}

/// Records that were cut never come back, whether the cut is at the border of an append or within
/// one, in the commit of the append or in a later one, and whether the log goes on at once or after
/// it was opened again.
///
/// # Panics
/// When the backend breaks this clause.
pub fn cut_records_never_return<B: Backend>(backend: &mut B) {
    let mut subject = Subject::open(backend, "cut_records_never_return");
    for seals in 0..4 {
        for cut in 0..=6 {
            for reopened in [false, true] {
                let start = subject.end();
                subject.append_some(2);
                subject.append_some(3);
                if seals & 1 != 0 {
                    subject.seal();
                }
                subject.append_some(1);
                subject.truncate(start + 6 - cut);
                if seals & 2 != 0 {
                    subject.seal();
                }
                if reopened {
                    subject.flush();
                    subject = subject.reopen();
                }
                subject.append_some(2);
                subject.append_some(4);
                subject.flush();
                subject.check();
                for from in start..subject.end() {
                    subject.read(from, subject.end(), 0);
                    subject.read(from, subject.end(), u64::MAX);
                }
            }
        }
        subject = subject.reopen();
        subject.check();
    }
}

/// Trimming removes the records below `to`, which becomes the first index; all others keep their
/// indexes.
///
/// # Panics
/// When the backend breaks this clause.
pub fn trim_removes_the_beginning<B: Backend>(backend: &mut B) {
    let mut subject = Subject::open(backend, "trim_removes_the_beginning");
    subject.trim(0);
    for flushed in [false, true] {
        let start = subject.end();
        subject.append_some(10);
        for to in [0, 1, 3, 3, 8] {
            if flushed {
                subject.flush();
                subject = subject.reopen();
            }
            subject.trim(start + to);
            subject.check();
        }
        subject.append_some(5);
        subject.check();
    }
    subject.flush();
    subject.reopen().check();
}

/// A log that is trimmed to its end is empty and keeps its position, also when it is reopened;
/// the next append goes there.
///
/// # Panics
/// When the backend breaks this clause.
pub fn trim_to_the_end_keeps_the_position<B: Backend>(backend: &mut B) {
    let mut subject = Subject::open(backend, "trim_to_the_end_keeps_the_position");
    for reopened in [false, true] {
        subject.append_some(6);
        subject.trim(subject.end());
        subject.check();
        subject.read_all_ranges();
        if reopened {
            subject.flush();
            subject = subject.reopen().reopen();
            subject.trim(subject.end());
            subject.truncate(subject.end());
            subject.flush();
            subject = subject.reopen();
        }
        subject.append_some(2);
        subject.check();
        subject.flush();
        subject = subject.reopen();
    }
}

/// A log can be cut down to its first index, which is not 0, and trimmed in one commit with that.
///
/// # Panics
/// When the backend breaks this clause.
pub fn trim_and_truncate_meet<B: Backend>(backend: &mut B) {
    let mut subject = Subject::open(backend, "trim_and_truncate_meet");
    subject.append_some(9);
    subject.trim(4);
    subject.truncate(4);
    subject.check();
    subject.flush();
    subject = subject.reopen();
    subject.append_some(6);
    subject.flush();
    subject.truncate(6);
    subject.trim(6);
    subject.append_some(3);
    subject.check();
    subject.flush();
    subject = subject.reopen();
    subject.append_some(3);
    subject.trim(8);
    subject.truncate(10);
    subject.append_some(1);
    subject.check();
    subject.flush();
    subject.reopen().check();
}

/// Each range outside the log is refused with [`StorageError::Range`], which tells the log's
/// indexes, and changes nothing.
///
/// [`StorageError::Range`]: crate::storage::StorageError::Range
///
/// # Panics
/// When the backend breaks this clause.
pub fn impossible_ranges_are_refused<B: Backend>(backend: &mut B) {
    let mut subject = Subject::open(backend, "impossible_ranges_are_refused");
    subject.refuses_all_impossible();
    subject.append_some(5);
    subject.refuses_all_impossible();
    subject.trim(2);
    subject.refuses_all_impossible();
    subject.flush();
    subject = subject.reopen();
    subject.refuses_all_impossible();
    subject.truncate(3);
    subject.refuses_all_impossible();
    subject.flush();
    subject = subject.reopen();
    subject.refuses_all_impossible();
    subject.trim(3);
    subject.refuses_all_impossible();
    subject.flush();
    subject = subject.reopen();
    subject.refuses_all_impossible();
    subject.append_some(2);
    subject.check();
}
