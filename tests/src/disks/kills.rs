//! Kills replicas in a process of their own at random moments, and looks at what is on their disks.

use super::image::Image;
use super::replicate::{SERVERS, directory, options, owner};
use super::reported::{Digest, hash};
use crate::sim::Rng;
use omnipaxos_core::leader_election::NodeId;
use omnipaxos_core::storage::ConfigId;
use omnipaxos_kompact::durable::Engine;
use std::collections::{BTreeMap, BTreeSet};
use std::io::{BufRead, BufReader};
use std::path::Path;
use std::process::{Command, Stdio};
use std::sync::mpsc::{RecvTimeoutError, channel};
use std::thread;
use std::time::{Duration, Instant};

/// How long a child may take to open its directories.
const START: Duration = Duration::from_secs(60);

/// What a series of kills came to.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Report {
    /// Kills.
    pub kills: u64,
    /// Flushes that were acknowledged.
    pub flushes: u64,
    /// Flushes that were under way at a kill.
    pub under_way: u64,
    /// Those of them that were found on the disk.
    pub found_complete: u64,
    /// Decided entries, in all configurations.
    pub decided: u64,
    /// The latest configuration.
    pub configurations: ConfigId,
    /// Configurations that were removed, by all servers together.
    pub removed: u64,
}

type Key = (NodeId, ConfigId);

/// What the child has said, and what was on the disks before it.
#[derive(Debug, Default)]
struct Expected {
    /// The last acknowledged state.
    acknowledged: BTreeMap<Key, u64>,
    /// A flush under way.
    under_way: BTreeMap<Key, (u64, u64)>,
    removing: BTreeSet<Key>,
    decided: BTreeMap<(ConfigId, u64), u64>,
    removed: BTreeSet<Key>,
}

impl Expected {
    fn hear(&mut self, line: &str, report: &mut Report) -> Result<(), String> {
        let bad = || format!("the child said {line:?}");
        let mut words = line.split(' ');
        let kind = words.next().unwrap_or_default();
        let mut number =
            |radix| u64::from_str_radix(words.next().ok_or_else(bad)?, radix).map_err(|_| bad());
        match kind {
            "begin" => {
                let key = (number(10)?, number(10)?);
                let flush = (number(10)?, number(16)?);
                if self.under_way.insert(key, flush).is_some() {
                    return Err(format!("two flushes at once: {line}"));
                }
            }
            "end" => {
                let key = (number(10)?, number(10)?);
                let ended = number(10)?;
                let (begun, digest) = self.under_way.remove(&key).ok_or_else(bad)?;
                if begun != ended {
                    return Err(bad());
                }
                self.acknowledged.insert(key, digest);
                report.flushes += 1;
            }
            "remove" => drop(self.removing.insert((number(10)?, number(10)?))),
            "removed" => {
                let key = (number(10)?, number(10)?);
                self.removing.remove(&key);
                self.acknowledged.remove(&key);
                self.removed.insert(key);
                report.removed += 1;
            }
            "decided" => {
                let (config_id, index, entry) = (number(10)?, number(10)?, number(16)?);
                let before = self.decided.insert((config_id, index), entry);
                if before.is_some_and(|before| before != entry) {
                    return Err(format!("decided twice: {line}"));
                }
            }
            _ => {}
        }
        Ok(())
    }

    /// Looks at all disks after a kill, and begins anew from there.
    fn look(&mut self, dir: &Path, report: &mut Report) -> Result<(), String> {
        let mut images = BTreeMap::new();
        for pid in SERVERS {
            let path = directory(dir, pid);
            let engine = Engine::open(&path, owner(pid), options()).map_err(|e| e.to_string())?;
            let (image, suspects) = Image::of(&engine)?;
            if !suspects.is_empty() {
                return Err(format!("server {pid}: suspect after a kill: {suspects:?}"));
            }
            self.compare(pid, &image, report)?;
            images.insert(pid, image);
        }
        self.under_way.clear();
        self.removing.clear();
        self.is_durable(&images)
    }

    fn compare(&mut self, pid: NodeId, image: &Image, report: &mut Report) -> Result<(), String> {
        for (config_id, group) in &image.groups {
            let key = (pid, *config_id);
            let records = group.records.iter().map(|(id, entry)| (*id, entry));
            let found = Digest::of(group.first, records, group.state.as_ref()).value();
            let under_way = self.under_way.get(&key).map(|(_, digest)| *digest);
            report.under_way += u64::from(under_way.is_some());
            report.found_complete += u64::from(under_way == Some(found));
            if self.acknowledged.get(&key) != Some(&found) && under_way != Some(found) {
                return Err(format!(
                    "server {pid}, configuration {config_id}: neither the last acknowledged flush \
                     nor the one under way: {group:?}"
                ));
            }
            self.acknowledged.insert(key, found);
            report.configurations = report.configurations.max(*config_id);
        }
        let here = self.acknowledged.keys().filter(|(server, _)| *server == pid);
        let lost: Vec<Key> =
            here.filter(|(_, id)| !image.groups.contains_key(id)).copied().collect();
        for key in lost {
            if !self.removing.contains(&key) {
                return Err(format!("{key:?} is gone"));
            }
            self.acknowledged.remove(&key);
            self.removed.insert(key);
        }
        Ok(())
    }

    /// What was ever handed out as decided is on the disks of a majority.
    fn is_durable(&self, images: &BTreeMap<NodeId, Image>) -> Result<(), String> {
        for ((config_id, index), entry) in &self.decided {
            let has = |pid: &NodeId| {
                if self.removed.contains(&(*pid, *config_id)) {
                    return true;
                }
                let group = images.get(pid).and_then(|image| image.groups.get(config_id));
                group.is_some_and(|group| {
                    let at = index.checked_sub(group.first);
                    let record = at.map(|at| group.records.get(at as usize));
                    // `None` means trimmed.
                    record.is_none_or(|record| record.is_some_and(|(_, e)| hash(e) == *entry))
                })
            };
            if SERVERS.iter().filter(|pid| has(pid)).count() < 2 {
                return Err(format!("entry {index} of configuration {config_id} is lost"));
            }
        }
        Ok(())
    }
}

/// Starts `program` with `replicate DIR SEED`, kills it at a random moment, looks at the disks, and
/// begins again on them, `kills` times.
///
/// # Errors
/// What is wrong, with the kill after which it was found.
pub fn kill_often(program: &Path, dir: &Path, seed: u64, kills: u64) -> Result<Report, String> {
    let mut rng = Rng::new(seed);
    let mut report = Report::default();
    let mut expected = Expected::default();
    for kill in 1..=kills {
        let after = Duration::from_micros(rng.between(1, 300_000));
        let lines = run_and_kill(program, dir, seed.wrapping_add(kill * 1000), after)
            .map_err(|e| format!("kill {kill}: {e}"))?;
        for line in lines {
            expected.hear(&line, &mut report).map_err(|e| format!("kill {kill}: {e}"))?;
        }
        expected.look(dir, &mut report).map_err(|e| format!("kill {kill}: {e}"))?;
        report.kills += 1;
    }
    report.decided = expected.decided.len() as u64;
    Ok(report)
}

/// The complete lines that a child has said when it was killed, `after` it was ready.
fn run_and_kill(
    program: &Path,
    dir: &Path,
    seed: u64,
    after: Duration,
) -> Result<Vec<String>, String> {
    let mut child = Command::new(program)
        .arg("replicate")
        .arg(dir)
        .arg(seed.to_string())
        .stdout(Stdio::piped())
        .spawn()
        .map_err(|e| e.to_string())?;
    let output = child.stdout.take().ok_or("no output")?;
    let (sender, lines) = channel();
    let reader = thread::spawn(move || {
        let mut output = BufReader::new(output);
        let mut line = String::new();
        // A line without an end was cut by the kill.
        while output.read_line(&mut line).is_ok() && line.ends_with('\n') {
            let _ = sender.send(line.trim_end().to_owned());
            line.clear();
        }
    });
    let mut said = Vec::new();
    let mut until = Instant::now() + START;
    let mut ready = false;
    let ended = loop {
        match lines.recv_timeout(until.saturating_duration_since(Instant::now())) {
            Ok(line) if line == "ready" => {
                ready = true;
                until = Instant::now() + after;
            }
            Ok(line) => said.push(line),
            Err(RecvTimeoutError::Timeout) => break false,
            Err(RecvTimeoutError::Disconnected) => break true,
        }
        if ready && Instant::now() >= until {
            break false;
        }
    };
    child.kill().map_err(|e| e.to_string())?;
    child.wait().map_err(|e| e.to_string())?;
    reader.join().map_err(|_| "the reader panicked")?;
    said.extend(lines.try_iter());
    match (ended, ready) {
        (true, _) => Err(format!("the child ended by itself, see its errors; {:?}", said.last())),
        (false, false) => Err("the child was never ready".to_owned()),
        (false, true) => Ok(said),
    }
}
