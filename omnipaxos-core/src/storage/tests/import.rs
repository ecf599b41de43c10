//! Importers and readers of logs in which no replica runs.

use super::{build, entry, id, stop};
use crate::ballot::Ballot;
use crate::paxos::{Paxos, PaxosConfig};
use crate::storage::{
    ImportError, Importer, MemorySequence, MemoryState, NextProposal, Operation, Records,
    SealedLog, Storage, StorageError,
};

type Disk = Storage<MemorySequence, MemoryState>;
type Import = Importer<MemorySequence, MemoryState>;

fn round(n: u64) -> Ballot {
    Ballot::new(n, 0, 1)
}

fn empty() -> Disk {
    Storage::with(MemorySequence::new(), MemoryState::new())
}

/// Records `[from, to)` of a log of ten that ends in a StopSign, as server 2 proposed them.
fn log(from: u64, to: u64) -> Records {
    let record =
        |at: u64| (id(2, 1, at + 1), if at == 9 { stop() } else { entry(&format!("{at}")) });
    build(&(from..to).map(record).collect::<Vec<_>>())
}

fn flush(import: &mut Import) -> Disk {
    while let Some(flush) = import.begin_flush().unwrap() {
        let id = flush.id();
        import.finish_flush(id, flush.run()).unwrap();
    }
    import.clone().into_storage()
}

#[test]
fn records_come_in_order_and_late_or_repeated_ones_change_nothing() {
    let mut import = Import::open(empty()).unwrap();
    let gap = import.append(3, &log(3, 5), round(4));
    assert_eq!(gap, Err(ImportError::Gap { start: 3, end: 0 }));
    import.append(0, &log(0, 4), round(4)).unwrap();
    flush(&mut import);
    let before = import.clone();
    import.append(0, &log(0, 4), round(4)).unwrap();
    import.append(2, &log(2, 3), round(9)).unwrap();
    import.append(1, &log(1, 1), round(9)).unwrap();
    assert_eq!(import, before);
    import.append(2, &log(2, 7), round(3)).unwrap();
    assert_eq!((import.first(), import.end(), import.durable()), (0, 7, 4));
    assert_eq!(import.read(1, 7, u64::MAX).unwrap(), log(1, 7));
    let beyond = import.read(6, 8, 1).unwrap_err();
    let (operation, from, to, first, end) = (Operation::Read, 6, 8, 0, 7);
    assert_eq!(beyond, StorageError::Range { operation, from, to, first, end });
}

#[test]
fn a_log_is_sealed_once_its_stop_sign_is_there() {
    let mut import = Import::open(empty()).unwrap();
    import.append(0, &log(0, 9), round(4)).unwrap();
    assert_eq!(import.seal(round(5)), Err(ImportError::NotEnded { end: 9 }));
    assert!(!SealedLog::open(flush(&mut import)).unwrap().is_sealed());
    import.append(9, &log(9, 10), round(4)).unwrap();
    import.seal(round(6)).unwrap();
    // Nothing comes behind a StopSign.
    let more = build(&[(id(2, 1, 11), entry("more"))]);
    import.append(10, &more, round(7)).unwrap();
    assert_eq!(import.end(), 10);
    let sealed = SealedLog::open(flush(&mut import)).unwrap();
    assert!(sealed.is_sealed());
    assert_eq!(sealed.stop_sign().unwrap().nodes, [1, 2]);
    assert_eq!((sealed.first(), sealed.end(), sealed.round()), (0, 10, round(4)));
    assert_eq!(sealed.read(0, 10, u64::MAX).unwrap(), log(0, 10));
    assert_eq!(sealed.read(3, 10, 0).unwrap(), log(3, 4));
    assert!(matches!(sealed.read(3, 11, 0), Err(StorageError::Range { end: 10, .. })));
    // Reading has written nothing.
    let before = import.storage.state().session;
    let mut again = Import::open(sealed.into_storage()).unwrap();
    assert_eq!(again.storage.state().session, before + 1);
    assert_eq!(again.stop_sign().unwrap().nodes, [1, 2]);
    assert_eq!(again.seal(round(9)), Ok(()));
}

#[test]
fn what_was_flushed_is_where_the_next_one_goes_on() {
    let parts = [(0, 3), (3, 4), (4, 9), (9, 10)];
    for crash_after in 0..=parts.len() {
        let mut import = Import::open(empty()).unwrap();
        let mut disk = flush(&mut import);
        for (from, to) in &parts[..crash_after] {
            import.append(*from, &log(*from, *to), round(2)).unwrap();
            disk = flush(&mut import);
        }
        if let Some((from, to)) = parts.get(crash_after) {
            // Taken in, not flushed.
            import.append(*from, &log(*from, *to), round(2)).unwrap();
        }
        let mut import = Import::open(disk).unwrap();
        let end = parts[..crash_after].last().map_or(0, |(_, to)| *to);
        assert_eq!((import.end(), import.durable()), (end, end));
        import.append(end, &log(end, 10), round(2)).unwrap();
        let sealed = SealedLog::open(flush(&mut import)).unwrap();
        assert_eq!(sealed.read(0, 10, u64::MAX).unwrap(), log(0, 10));
        assert!(sealed.is_sealed());
    }
}

/// A replica that is started over it afterwards knows what it would know had it learned as much.
#[test]
fn a_replica_goes_on_from_an_import() {
    let mut import = Import::open(empty()).unwrap();
    import.append(0, &log(0, 5), round(4)).unwrap();
    let paxos = Paxos::with(1, 3, vec![1, 2], flush(&mut import), PaxosConfig::default());
    assert_eq!((paxos.halted(), paxos.decided_index(), paxos.log_len()), (None, 5, 5));
    assert_eq!(paxos.promised(), round(4));
    let state = paxos.into_storage().state().clone();
    assert_eq!(state.accepted_round, Ballot::default());
    assert_eq!(state.decided_round, round(4));
    assert_eq!(state.next.get(2).unwrap(), NextProposal { session: 1, number: 6 });
}

/// What a replica accepted behind its decided index it has voted for: it is cut only where it is
/// known not to be chosen.
#[test]
fn what_a_replica_accepted_is_cut_only_where_it_differs() {
    let with_tail = |tail: &Records, accepted: u64| {
        let mut storage = empty();
        storage.open().unwrap();
        storage.promise(round(accepted));
        storage.append(log(0, 2)).unwrap();
        storage.append(tail.clone()).unwrap();
        storage.accept_round(round(accepted));
        storage.decide(2, round(accepted), |_, _| {});
        let mut import = Import { storage, failed: None };
        flush(&mut import)
    };
    let mut import = Import::open(with_tail(&log(2, 6), 3)).unwrap();
    assert_eq!((import.end(), import.durable()), (2, 2));
    import.append(2, &log(2, 4), round(5)).unwrap();
    assert_eq!((import.end(), import.storage.end_index()), (4, 6));
    let other = build(&[(id(3, 1, 1), entry("other")), (id(3, 1, 2), entry("tail"))]);
    let mut import = Import::open(with_tail(&other, 3)).unwrap();
    let before = import.clone();
    let refused = import.append(0, &log(0, 4), round(3));
    assert!(matches!(refused, Err(ImportError::Impossible(_))), "{refused:?}");
    assert_eq!(import, before);
    import.append(0, &log(0, 3), round(4)).unwrap();
    assert_eq!((import.end(), import.storage.end_index()), (3, 3));
    assert_eq!(import.storage.state().promised, round(4));
    let sealed = build(&[(id(3, 1, 1), stop())]);
    let mut import = Import::open(with_tail(&sealed, 9)).unwrap();
    let behind = build(&[(id(3, 1, 1), stop())]);
    import.append(2, &behind, round(4)).unwrap();
    assert_eq!(import.stop_sign().unwrap().nodes, [1, 2]);
}

#[test]
fn a_failed_flush_ends_an_import() {
    let mut import = Import::open(empty()).unwrap();
    import.append(0, &log(0, 4), round(4)).unwrap();
    let flush = import.begin_flush().unwrap().unwrap();
    let full = StorageError::Full { operation: Operation::Flush, detail: "here".to_owned() };
    import.finish_flush(flush.id(), Err(full.clone())).unwrap();
    assert_eq!(import.append(4, &log(4, 5), round(4)), Err(ImportError::Storage(full.clone())));
    assert_eq!(import.seal(round(4)), Err(ImportError::Storage(full.clone())));
    assert!(matches!(import.begin_flush(), Err(error) if error == full));
    assert_eq!(import.durable(), 0);
}

#[test]
fn a_state_beyond_its_log_is_corrupt() {
    let mut import = Import::open(empty()).unwrap();
    import.append(0, &log(0, 4), round(4)).unwrap();
    let (_, state) = flush(&mut import).into_parts();
    let torn = SealedLog::open(Storage::with(MemorySequence::new(), state));
    assert!(matches!(torn, Err(StorageError::Corrupt { .. })));
}
