//! Kompact components around `omnipaxos-core`: a replicated log over TCP.
