//! Runnable programs that embed `omnipaxos-kompact`.
