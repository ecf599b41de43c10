//! Random bits of a large log on a real disk, flipped one at a time.

use super::damage::Verdict;
use super::image::Image;
use super::replicate::owner;
use crate::sim::Rng;
use omnipaxos_core::storage::{Commit, PaxosState, ProposalId, RecordsBuilder, Sequence, State};
use omnipaxos_kompact::durable::{Engine, OpenError, Options};
use std::collections::BTreeMap;
use std::error::Error;
use std::fs;
use std::path::Path;

/// Entries of a flush, and bytes of an entry.
const BATCH: u64 = 64;
const ENTRY: usize = 256;

/// Writes a log of `megabytes` in `dir`, and opens it `trials` times with one random bit of what is
/// used of it flipped. Returns how often what came of it.
///
/// # Errors
/// What the engine or the file system reports where no bit is flipped.
pub fn flip_bits(
    dir: &Path,
    seed: u64,
    trials: u64,
    megabytes: u64,
) -> Result<BTreeMap<Verdict, u64>, Box<dyn Error + Send + Sync>> {
    let mut rng = Rng::new(seed);
    let dir = dir.join("log");
    let engine = Engine::create(&dir, owner(1), Options::default())?;
    let (mut sequence, mut state) = engine.parts(1)?;
    while engine.status().bytes < megabytes << 20 {
        let mut builder = RecordsBuilder::new();
        for number in sequence.end_index()..sequence.end_index() + BATCH {
            let id = ProposalId { proposer: 1, session: 1, number: number + 1 };
            builder.push(id, vec![rng.number() as u8; ENTRY].into());
        }
        sequence.append(builder.build())?;
        state.store(&State { decided: sequence.end_index(), ..State::default() })?;
        state.commit()?.run()?;
    }
    drop((sequence, state));
    let (whole, _) = Image::of(&engine)?;
    drop(engine);
    if judge(&dir, &whole) != Verdict::WithoutEffect {
        return Err("the log is not whole before any flip".into());
    }
    let mut files = Vec::new();
    for entry in fs::read_dir(&dir)? {
        let path = entry?.path();
        if path.extension().is_some_and(|extension| extension == "log") {
            let content = fs::read(&path)?;
            let used = content.iter().rposition(|b| *b != 0).map_or(0, |at| at as u64 + 1);
            files.push((path, content, used));
        }
    }
    files.sort();
    let used: u64 = files.iter().map(|(_, _, used)| used).sum();
    let mut verdicts = BTreeMap::new();
    for _ in 0..trials {
        let mut bit = rng.below(8 * used);
        let (path, content, _) = files
            .iter()
            .find(|(_, _, used)| {
                let here = bit < 8 * used;
                bit = if here { bit } else { bit - 8 * used };
                here
            })
            .ok_or("no files")?;
        let mut flipped = content.clone();
        flipped[(bit / 8) as usize] ^= 1 << (bit % 8);
        fs::write(path, flipped)?;
        *verdicts.entry(judge(&dir, &whole)).or_default() += 1;
        fs::write(path, content)?;
        let (latest, content, _) = files.last().ok_or("no files")?;
        fs::write(latest, content)?;
        if dir.join("suspect").exists() {
            fs::remove_file(dir.join("suspect"))?;
        }
    }
    Ok(verdicts)
}

fn judge(dir: &Path, whole: &Image) -> Verdict {
    let engine = match Engine::open(dir, owner(1), Options::default()) {
        Ok(engine) => engine,
        Err(OpenError::Damaged { .. }) => return Verdict::Detected,
        Err(_) => return Verdict::Wrong,
    };
    let Ok((image, suspects)) = Image::of(&engine) else {
        return Verdict::Wrong;
    };
    match (image == *whole, suspects.is_empty()) {
        (true, true) => Verdict::WithoutEffect,
        (false, false) => Verdict::Suspect,
        _ => Verdict::Wrong,
    }
}
