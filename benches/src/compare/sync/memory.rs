//! How much memory of a process is in use, as Linux counts it (`/proc/self/status`).

use crate::compare::group::GroupError;
use std::fs;

/// The memory of this process, from a moment on.
#[derive(Clone, Copy, Debug)]
pub struct Memory {
    start: u64,
}

impl Memory {
    /// From now on. Memory that the allocator keeps although it is free is part of what is there
    /// already, so a process that has just started is measured best.
    ///
    /// # Errors
    /// [`GroupError`] where this is not Linux.
    pub fn now() -> Result<Self, GroupError> {
        // Forgets the peak that was seen so far.
        fs::write("/proc/self/clear_refs", "5").map_err(GroupError::new)?;
        Ok(Self { start: bytes("VmRSS:")? })
    }

    /// How many bytes were resident at most since then, beyond what was at the start.
    ///
    /// # Errors
    /// [`GroupError`] where this is not Linux.
    pub fn grown(&self) -> Result<u64, GroupError> {
        Ok(bytes("VmHWM:")?.saturating_sub(self.start))
    }
}

fn bytes(field: &str) -> Result<u64, GroupError> {
    let status = fs::read_to_string("/proc/self/status").map_err(GroupError::new)?;
    let value = status.lines().find_map(|line| line.strip_prefix(field));
    let kilobytes = value.and_then(|value| value.trim().strip_suffix(" kB")?.parse::<u64>().ok());
    let found = kilobytes.ok_or_else(|| GroupError(format!("no {field} in /proc/self/status")))?;
    Ok(found * 1024)
}

#[cfg(all(test, target_os = "linux"))]
mod tests {
    use super::Memory;

    #[test]
    fn what_was_in_use_for_a_moment_counts() {
        let memory = Memory::now().unwrap();
        let block = vec![1u8; 64 << 20];
        assert_eq!(block.iter().map(|byte| usize::from(*byte)).sum::<usize>(), block.len());
        drop(block);
        let grown = memory.grown().unwrap();
        assert!(grown > 60 << 20, "{grown}");
        // Once it is free, another moment knows nothing of it.
        let later = Memory::now().unwrap();
        assert!(later.grown().unwrap() < 32 << 20);
    }
}
