//! What the programs have in common: progress, rows on standard output, and how they end.

use indicatif::{ProgressBar, ProgressStyle};
use serde::Serialize;
use std::error::Error;
use std::io::{self, ErrorKind, Write as _, stdout};
use std::process::ExitCode;
use thiserror::Error;

/// Why rows could not be printed.
#[derive(Debug, Error)]
pub enum OutputError {
    /// Standard output.
    #[error("cannot write: {0}")]
    Write(#[from] io::Error),
    /// A row is nothing that JSON can say.
    #[error(transparent)]
    Json(#[from] serde_json::Error),
}

/// Prints rows: one JSON object each, or `text`, which is a table of them.
///
/// # Errors
/// [`OutputError`].
pub fn print<T: Serialize>(json: bool, rows: &[T], text: &str) -> Result<(), OutputError> {
    let mut out = stdout().lock();
    if !json {
        writeln!(out, "{text}")?;
        return Ok(());
    }
    for row in rows {
        writeln!(out, "{}", serde_json::to_string(row)?)?;
    }
    Ok(())
}

/// A bar of so many `steps`, each `what`.
#[must_use]
pub fn bar(steps: u64, what: &str) -> ProgressBar {
    let bar = ProgressBar::new(steps);
    let template = format!("{{bar:40}} {{pos}}/{{len}} {what}, {{eta}} left");
    if let Ok(style) = ProgressStyle::with_template(&template) {
        bar.set_style(style);
    }
    bar.tick();
    bar
}

/// How program `name` ends. A reader of its output that has read enough is no failure.
#[must_use]
pub fn exit_code<E: Error + 'static>(name: &str, result: Result<(), E>) -> ExitCode {
    match result {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) if is_broken_pipe(&error) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("{name}: {error}");
            ExitCode::FAILURE
        }
    }
}

fn is_broken_pipe(error: &(dyn Error + 'static)) -> bool {
    let broken = |e: &io::Error| e.kind() == ErrorKind::BrokenPipe;
    error.downcast_ref().is_some_and(broken) || error.source().is_some_and(is_broken_pipe)
}

#[cfg(test)]
mod tests {
    use super::{OutputError, is_broken_pipe};
    use std::io::{Error, ErrorKind};

    #[test]
    fn only_a_broken_pipe_is_one() {
        let of = |kind| OutputError::from(Error::from(kind));
        assert!(is_broken_pipe(&of(ErrorKind::BrokenPipe)));
        assert!(!is_broken_pipe(&of(ErrorKind::StorageFull)));
    }
}
