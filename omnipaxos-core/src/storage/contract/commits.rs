//! Clauses about what is durable, and when.

use super::Backend;
use super::subject::Subject;

/// Without a durable state [`load`](crate::storage::PaxosState::load) gives `None`, also beside a
/// log; once a state is durable, it gives that one.
///
/// # Panics
/// When the backend breaks this clause.
pub fn load_gives_what_is_durable<B: Backend>(backend: &mut B) {
    let mut subject = Subject::open(backend, "load_gives_what_is_durable");
    subject.append_some(3);
    subject.flush();
    subject.check();
    subject = subject.reopen();
    subject.check();
    subject.store_some();
    subject.check();
    subject = subject.reopen();
    for _ in 0..3 {
        subject.store_some();
        subject.check();
        subject.seal();
        subject.check();
        subject.run_next();
        subject.check();
        subject = subject.reopen();
        subject.check();
    }
}

/// What was not committed is lost as a whole, of the log and of the state.
///
/// # Panics
/// When the backend breaks this clause.
pub fn open_writes_are_lost_together<B: Backend>(backend: &mut B) {
    let mut subject = Subject::open(backend, "open_writes_are_lost_together");
    subject.append_some(5);
    subject.store_some();
    subject = subject.reopen();
    for _ in 0..3 {
        subject.append_some(6);
        subject.store_some();
        subject.flush();
        subject.store_some();
        subject.append_some(2);
        subject = subject.reopen();
        subject.truncate(subject.end() - 2);
        subject = subject.reopen();
        subject.trim(subject.first() + 1);
        subject = subject.reopen();
        subject.truncate(subject.end() - 1);
        subject.append_some(3);
        subject.trim(subject.first() + 2);
        subject.store_some();
        subject.check();
        subject = subject.reopen();
        subject.check();
    }
}

/// A commit covers all that was done through both halves since the one before, and is there as a
/// whole once it was run.
///
/// # Panics
/// When the backend breaks this clause.
pub fn a_commit_covers_log_and_state<B: Backend>(backend: &mut B) {
    let mut subject = Subject::open(backend, "a_commit_covers_log_and_state");
    subject.store_some();
    subject.append_some(8);
    subject.flush();
    subject = subject.reopen();
    for _ in 0..3 {
        subject.append_some(4);
        subject.truncate(subject.end() - 3);
        subject.store_some();
        subject.trim(subject.first() + 2);
        subject.append_some(2);
        subject.flush();
        subject.check();
        subject = subject.reopen();
    }
    // One half alone leaves the other one as it is.
    subject.append_some(1);
    subject.flush();
    subject = subject.reopen();
    subject.store_some();
    subject.flush();
    subject = subject.reopen();
    subject.trim(subject.first() + 1);
    subject.flush();
    subject = subject.reopen();
    subject.truncate(subject.end() - 1);
    subject.flush();
    subject.reopen().check();
}

/// A commit that was sealed and never run is absent after a crash, or (where
/// [`Backend::UNFLUSHED`] says so) whole.
///
/// # Panics
/// When the backend breaks this clause.
pub fn a_commit_that_was_not_run_is_absent<B: Backend>(backend: &mut B) {
    let mut subject = Subject::open(backend, "a_commit_that_was_not_run_is_absent");
    subject.append_some(2);
    subject.store_some();
    subject.seal();
    subject = subject.reopen();
    for _ in 0..3 {
        subject.append_some(4);
        subject.store_some();
        subject.flush();
        subject.truncate(subject.end() - 2);
        subject.append_some(1);
        subject.store_some();
        subject.seal();
        subject.trim(subject.end() - 1);
        subject.check();
        subject = subject.reopen();
        subject.check();
    }
}

/// Several commits may be sealed; each one that is run, in their order, is durable, and no later
/// one with it.
///
/// # Panics
/// When the backend breaks this clause.
pub fn commits_become_durable_in_order<B: Backend>(backend: &mut B) {
    let mut subject = Subject::open(backend, "commits_become_durable_in_order");
    for ran in 0..=4 {
        subject.append_some(6);
        subject.store_some();
        subject.seal();
        subject.truncate(subject.end() - 4);
        subject.append_some(3);
        subject.seal();
        subject.trim(subject.first() + 1);
        subject.store_some();
        subject.seal();
        subject.truncate(subject.end() - 1);
        subject.seal();
        for _ in 0..ran {
            subject.run_next();
            subject.check();
        }
        subject = subject.reopen();
        subject.check();
    }
    // What was lost leaves nothing behind that a later commit could run into.
    subject.append_some(5);
    subject.flush();
    subject.reopen().check();
}

/// What is written between [`commit`](crate::storage::PaxosState::commit) and
/// [`run`](crate::storage::Commit::run) belongs to the next commit.
///
/// # Panics
/// When the backend breaks this clause.
pub fn writes_after_sealing_belong_to_the_next_commit<B: Backend>(backend: &mut B) {
    let mut subject = Subject::open(backend, "writes_after_sealing_belong_to_the_next_commit");
    let writes: [fn(&mut Subject<'_, B>); 5] = [
        |subject| subject.append_some(3),
        |subject| subject.truncate(subject.end() - 2),
        |subject| subject.trim(subject.first() + 1),
        |subject| subject.store_some(),
        |subject| {
            subject.truncate(subject.end() - 3);
            subject.append_some(5);
            subject.store_some();
        },
    ];
    for write in writes {
        for next in [false, true] {
            subject.append_some(4);
            subject.store_some();
            subject.seal();
            write(&mut subject);
            subject.run_next();
            subject.check();
            if next {
                subject.flush();
            }
            subject = subject.reopen();
        }
    }
}

/// A commit without changes is run like any other and changes nothing.
///
/// # Panics
/// When the backend breaks this clause.
pub fn empty_commits_change_nothing<B: Backend>(backend: &mut B) {
    let mut subject = Subject::open(backend, "empty_commits_change_nothing");
    subject.flush();
    subject.flush();
    subject = subject.reopen();
    subject.append_some(3);
    subject.store_some();
    subject.seal();
    subject.seal();
    subject.run_next();
    subject.append_some(1);
    subject.run_next();
    subject.check();
    subject = subject.reopen();
    subject.flush();
    subject.check();
    subject = subject.reopen();
    subject.append_some(1);
    subject.flush();
    subject.flush();
    subject.reopen().check();
}

/// Opening changes nothing, however often; what is written afterwards lands behind what was there.
///
/// # Panics
/// When the backend breaks this clause.
pub fn opening_changes_nothing<B: Backend>(backend: &mut B) {
    let mut subject = Subject::open(backend, "opening_changes_nothing");
    for _ in 0..3 {
        subject.append_some(5);
        subject.trim(subject.first() + 2);
        subject.store_some();
        subject.flush();
        for _ in 0..3 {
            subject = subject.reopen();
            subject.check();
        }
        // As a replica begins: it stores before it writes to the log.
        subject.store_some();
        subject.flush();
        subject = subject.reopen();
        subject.append_some(1);
        subject = subject.reopen();
        subject.check();
    }
}
