//! Commits that are run on another thread.

use super::subject::Subject;
use super::{Backend, CommitOf};
use crate::storage::Commit;
use std::thread;

/// While another thread runs a commit, both halves go on: reads see all that was written, and what
/// is written belongs to the next commit. For backends whose commits are [`Send`], as those of a
/// replica that does not wait for its disk must be.
///
/// # Panics
/// When the backend breaks this clause.
pub fn commits_run_on_another_thread<B: Backend>(backend: &mut B)
where
    CommitOf<B>: Send,
{
    let mut subject = Subject::open(backend, "commits_run_on_another_thread");
    for round in 0..20 {
        subject.append_some(20);
        subject.store_some();
        subject.seal();
        let Some(commit) = subject.next_commit() else {
            return;
        };
        let ended = thread::scope(|scope| {
            let running = scope.spawn(move || commit.run());
            for _ in 0..5 {
                subject.truncate(subject.end() - 2);
                subject.append_some(7);
                subject.trim(subject.first() + 3);
                subject.read(subject.first() + 1, subject.end(), 300);
                subject.store_some();
                subject.check();
            }
            running.join()
        });
        match ended {
            Ok(ended) => subject.ran(ended),
            Err(panic) => std::panic::resume_unwind(panic),
        }
        subject.check();
        if round % 3 == 0 {
            subject = subject.reopen();
        } else {
            subject.flush();
        }
        subject.check();
    }
    subject.reopen().check();
}
