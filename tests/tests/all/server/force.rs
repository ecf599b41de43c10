//! The last resort: a majority is lost for good.

use crate::server::cluster::{Cluster, changed};
use crate::tcp::cluster::eventually;
use omnipaxos_kompact::server::{ForceError, force_configuration};

#[test]
fn one_survivor_goes_on_alone_and_takes_others_in() {
    let mut cluster = Cluster::grown(3);
    cluster.propose(1, 0..200);
    cluster.same_log(&[1, 2, 3], 0..200);
    drop(cluster.kill(2));
    drop(cluster.kill(3));
    // Nothing is decided any more.
    let lost = cluster.node(1).propose(999);
    let remains = cluster.kill(1);
    drop(lost);
    let engine = remains.engine();
    assert_eq!(force_configuration(&engine, &[1, 2, 3]), Err(ForceError::NothingLost));
    assert_eq!(force_configuration(&engine, &[1, 9]), Err(ForceError::NotMember(9)));
    assert_eq!(force_configuration(&engine, &[2]), Err(ForceError::NotKept(1)));
    let forced = force_configuration(&engine, &[1]).unwrap();
    assert_eq!(forced.lost, [2, 3]);
    assert!(forced.end.ended.forced && forced.end.ended.stop_sign.nodes == [1]);
    drop(engine);
    cluster.add(remains.restart());
    cluster.propose(1, 200..300);
    let status = cluster.node(1).status();
    assert_eq!(status.forced, [forced.end.ended.config_id], "it is on record");
    // New servers get the whole log.
    for pid in [4, 5] {
        cluster.join(pid);
    }
    cluster.propose(5, 300..400);
    let numbers = cluster.node(1).records.numbers();
    // What was proposed in vain may have been accepted by the survivor alone.
    let kept = numbers.contains(&999).then_some(999);
    cluster.same_log(&[1, 4, 5], (0..400).chain(kept));
}

#[test]
fn two_survivors_of_five_go_on_together() {
    let mut cluster = Cluster::grown(5);
    cluster.propose(1, 0..100);
    cluster.same_log(&[1, 2, 3, 4, 5], 0..100);
    for pid in [3, 4, 5] {
        drop(cluster.kill(pid));
    }
    let (one, two) = (cluster.kill(1), cluster.kill(2));
    // Both hold the same: either will do.
    let engine = two.engine();
    let forced = force_configuration(&engine, &[1, 2]).unwrap();
    assert_eq!(forced.lost, [3, 4, 5]);
    drop(engine);
    cluster.add(two.restart());
    cluster.add(one.restart());
    cluster.takes_part(1, forced.end.ended.config_id + 1);
    cluster.propose(1, 100..200);
    cluster.same_log(&[1, 2], 0..200);
    let six = cluster.stand_by(6);
    changed(cluster.node(2).client().add(6, six)).unwrap();
    eventually("the new server has the whole log", || cluster.node(6).records.len() >= 200);
}
