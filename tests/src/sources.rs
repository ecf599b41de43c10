//! Reads the workspace's own files.

use std::fs;
use std::io;
use std::path::{Path, PathBuf};

/// The top of the workspace.
#[must_use]
pub fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).parent().unwrap_or(Path::new(".")).to_owned()
}

/// All Rust files below `folder` (relative to the workspace), in order, as paths relative to it.
///
/// # Errors
/// What the file system reports.
pub fn rust_files(folder: &str) -> io::Result<Vec<String>> {
    let mut files = Vec::new();
    collect(&root(), Path::new(folder), &mut files)?;
    files.sort();
    Ok(files)
}

fn collect(root: &Path, folder: &Path, files: &mut Vec<String>) -> io::Result<()> {
    for entry in fs::read_dir(root.join(folder))? {
        let entry = entry?;
        let path = folder.join(entry.file_name());
        if entry.file_type()?.is_dir() {
            collect(root, &path, files)?;
        } else if path.extension().is_some_and(|extension| extension == "rs") {
            files.push(path.to_string_lossy().replace('\\', "/"));
        }
    }
    Ok(())
}

/// The text of a file of the workspace.
///
/// # Errors
/// What the file system reports.
pub fn text(file: &str) -> io::Result<String> {
    fs::read_to_string(root().join(file))
}

/// The code of a Rust file: without comments, and without the test module at its end.
///
/// # Errors
/// What the file system reports.
pub fn code(file: &str) -> io::Result<String> {
    let text = text(file)?;
    let production = text.split("#[cfg(test)]\nmod tests {").next().unwrap_or_default();
    Ok(production
        .lines()
        .filter(|line| !line.trim_start().starts_with("//"))
        .collect::<Vec<_>>()
        .join("\n"))
}

/// The rows of the Markdown table between `<!-- name: begin -->` and `<!-- name: end -->`, each as
/// its cells' code spans.
#[must_use]
pub fn table(document: &str, name: &str) -> Vec<Vec<Vec<String>>> {
    let (begin, end) = (format!("<!-- {name}: begin -->"), format!("<!-- {name}: end -->"));
    let inside = document.split(&begin).nth(1).and_then(|rest| rest.split(&end).next());
    inside
        .unwrap_or_default()
        .lines()
        .filter(|line| line.starts_with("| `"))
        .map(|row| row.trim_matches('|').split('|').map(spans).collect())
        .collect()
}

fn spans(cell: &str) -> Vec<String> {
    cell.split('`').skip(1).step_by(2).map(str::to_owned).collect()
}
