//! The files that stories are written in.

use super::command::CommandError;
use super::run::Stage;
use crate::sources;
use std::path::PathBuf;
use std::{fs, io};
use thiserror::Error;

const SEPARATOR: &str = "----";

/// Why a story cannot be told.
#[derive(Debug, Error)]
#[error("line {line}: {error}")]
pub struct StoryError {
    /// The line, from 1.
    pub line: usize,
    /// What is wrong with it.
    pub error: CommandError,
}

/// The story with what its commands print now, in place of what they should.
///
/// # Errors
/// [`StoryError`] for a command that is none, or cannot be carried out.
pub fn rendered(story: &str) -> Result<String, StoryError> {
    let mut stage = Stage::default();
    let mut text = String::new();
    let mut printed = String::new();
    let mut expected = false;
    for (at, line) in story.lines().enumerate() {
        if line.is_empty() {
            // Also ends the expected output.
            expected = false;
            text.push('\n');
        } else if expected {
            // What it should be; what it is was printed already.
        } else if line == SEPARATOR {
            expected = true;
            text.push_str(SEPARATOR);
            text.push('\n');
            let nothing = printed.is_empty();
            text.push_str(if nothing { "nothing\n" } else { &printed });
            printed.clear();
        } else {
            text.push_str(line);
            text.push('\n');
            if !line.starts_with('#') {
                let told = stage.command(line);
                printed.push_str(&told.map_err(|error| StoryError { line: at + 1, error })?);
            }
        }
    }
    Ok(text)
}

/// The files of all stories, in order.
///
/// # Errors
/// What the file system reports.
pub fn stories() -> io::Result<Vec<PathBuf>> {
    let mut files = Vec::new();
    for entry in fs::read_dir(sources::root().join("tests/traces"))? {
        let path = entry?.path();
        if path.extension().is_some_and(|extension| extension == "trace") {
            files.push(path);
        }
    }
    files.sort();
    Ok(files)
}
