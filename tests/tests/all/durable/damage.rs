//! Flipped bits, cut files, files that are gone or in the wrong place: an error or a doubt, and
//! never other data in silence.

use omnipaxos_tests::disks::{MemoryDisk, Sound, Verdict, Workload};
use omnipaxos_tests::sim::Rng;
use std::collections::BTreeMap;
use std::path::Path;

const DIR: &str = "/data";

/// What a whole workload leaves.
fn sound(seed: u64) -> Sound {
    let disk = MemoryDisk::new(seed);
    let done = Workload { seed, steps: 120 }.run(&disk, Path::new(DIR));
    assert_eq!((&done.ended_by, &done.broken), (&None, &None), "seed {seed}");
    let mut images = done.images.into_iter().rev();
    let (image, before) = (images.next().unwrap(), images.next().unwrap());
    Sound { disk, dir: DIR.into(), image, before }
}

fn is_segment(name: &str) -> bool {
    name.ends_with(".log")
}

/// Where the last byte of a file that is not 0 ends.
fn used(content: &[u8]) -> usize {
    content.iter().rposition(|b| *b != 0).map_or(0, |at| at + 1)
}

fn flip(sound: &Sound, name: &str, content: &[u8], bit: u64) -> Verdict {
    let mut content = content.to_vec();
    content[(bit / 8) as usize] ^= 1 << (bit % 8);
    sound.after(|disk, dir| disk.write(&dir.join(name), content))
}

/// Rows of the table that the test prints.
#[derive(Default)]
struct Table(BTreeMap<&'static str, BTreeMap<Verdict, u64>>);

impl Table {
    fn note(&mut self, row: &'static str, verdict: Verdict, what: &str) {
        *self.0.entry(row).or_default().entry(verdict).or_default() += 1;
        assert_ne!(verdict, Verdict::Wrong, "{row}: {what}");
    }

    fn print(&self) {
        for (row, verdicts) in &self.0 {
            println!("{row}: {verdicts:?}");
        }
    }
}

#[test]
fn a_flipped_bit_is_never_missed() {
    let mut table = Table::default();
    let mut rng = Rng::new(1);
    for (seed, times) in [(21, 900), (22, 100)] {
        let sound = sound(seed);
        let files = sound.files().unwrap();
        let segments: Vec<&String> = files.keys().filter(|name| is_segment(name)).collect();
        assert!(segments.len() > 1, "{segments:?}");
        for time in 0..times {
            let name = rng.pick(&segments).unwrap();
            let content = &files[name];
            let bit = rng.below(8 * used(content) as u64);
            let verdict = flip(&sound, name, content, bit);
            table.note("random bit of the frames", verdict, &format!("{seed} {name} {bit}"));
            let bit = 8 * used(content) as u64 + rng.below(8 * 4096);
            if time % 10 == 0 && bit < 8 * content.len() as u64 {
                let verdict = flip(&sound, name, content, bit);
                table.note("bit behind the frames", verdict, &format!("{seed} {name} {bit}"));
            }
        }
        let small = files.iter().filter(|(name, _)| !is_segment(name) && times < 500);
        for (name, content) in small {
            for bit in 0..8 * content.len() as u64 {
                let verdict = flip(&sound, name, content, bit);
                table.note("bit of a small file", verdict, &format!("{seed} {name} {bit}"));
                assert_eq!(verdict, Verdict::Detected, "{name} {bit}");
            }
        }
        let last = segments.last().unwrap();
        let content = &files[*last];
        let end = used(content);
        let body = u32::from_le_bytes(content[end - 8..end - 4].try_into().unwrap()) as usize;
        let start = end - 48 - body;
        for bit in (8 * start..8 * (start + 24)).chain(8 * (end - 24)..8 * end) {
            let verdict = flip(&sound, last, content, bit as u64);
            table.note("bit of the last header or footer", verdict, &format!("{seed} {bit}"));
            // A segment that has nothing but its first frame has lost its beginning.
            let expected = if start == 0 { Verdict::Detected } else { Verdict::Suspect };
            assert_eq!(verdict, expected, "{seed} {bit}");
        }
    }
    table.print();
}

#[test]
fn files_that_are_cut_gone_or_in_the_wrong_place_are_noticed() {
    let mut table = Table::default();
    let mut rng = Rng::new(2);
    let (ours, others) = (sound(31), sound(32));
    let files = ours.files().unwrap();
    let segments: Vec<&String> = files.keys().filter(|name| is_segment(name)).collect();
    for (name, content) in &files {
        for _ in 0..20 {
            let length = rng.below(content.len() as u64) as usize;
            let verdict =
                ours.after(|disk, dir| disk.write(&dir.join(name), content[..length].to_vec()));
            table.note("file cut", verdict, &format!("{name} {length}"));
            let lost = length < used(content);
            assert!(!lost || verdict == Verdict::Detected, "{name} {length}: {verdict:?}");
        }
        let verdict = ours.after(|disk, dir| disk.delete(&dir.join(name)));
        table.note("file gone", verdict, name);
        assert_eq!(verdict, Verdict::Detected, "{name}");
    }
    for (at, one) in segments.iter().enumerate() {
        for other in &segments[at + 1..] {
            let verdict = ours.after(|disk, dir| {
                disk.write(&dir.join(one), files[*other].clone());
                disk.write(&dir.join(other), files[*one].clone());
            });
            table.note("segments swapped", verdict, &format!("{one} {other}"));
            assert_eq!(verdict, Verdict::Detected, "{one} {other}");
        }
    }
    for (name, content) in others.files().unwrap().iter().filter(|(name, _)| is_segment(name)) {
        for ours_name in &segments {
            let verdict = ours.after(|disk, dir| disk.write(&dir.join(ours_name), content.clone()));
            table.note("another server's segment", verdict, &format!("{name} as {ours_name}"));
            assert_eq!(verdict, Verdict::Detected, "{name} as {ours_name}");
        }
    }
    // An older copy of a segment that has a successor lacks frames that the successor knows.
    let (_, before_latest) = segments.split_last().unwrap();
    for name in before_latest {
        let content = &files[*name];
        let mut older = content.clone();
        older[used(content) / 2..].fill(0);
        let verdict = ours.after(|disk, dir| disk.write(&dir.join(name), older));
        table.note("older copy of a segment", verdict, name);
        assert_eq!(verdict, Verdict::Detected, "{name}");
    }
    table.print();
}
