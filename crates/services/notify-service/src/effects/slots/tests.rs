//! Shares and turns, told and at random.

use std::collections::BTreeSet;

use proptest::prelude::*;

use super::*;

fn workspace(number: usize) -> WorkspaceId {
    WorkspaceId::trusted(&format!("w{number}"))
}

fn endpoint(number: usize) -> EndpointId {
    EndpointId::trusted(&format!("e{number}"))
}

/// The workspaces and endpoints that are given slots now, in order.
fn given(turns: &mut Turns<usize>) -> Vec<(WorkspaceId, EndpointId, usize)> {
    std::iter::from_fn(|| turns.next()).collect()
}

#[test]
fn one_workspace_takes_half_and_the_next_one_finds_room() {
    let mut turns = Turns::new(256, 8);
    for attempt in 0..1_600 {
        turns.wait(&workspace(0), &endpoint(attempt % 200), attempt);
    }
    assert_eq!(given(&mut turns).len(), 128);
    turns.wait(&workspace(1), &endpoint(0), 0);
    assert_eq!(given(&mut turns), [(workspace(1), endpoint(0), 0)], "at once");
    for attempt in 1..100 {
        turns.wait(&workspace(1), &endpoint(attempt), attempt);
    }
    assert_eq!(given(&mut turns).len(), 63, "half of what is left");
    turns.release(&workspace(0), &endpoint(0));
    let next: Vec<_> = given(&mut turns).into_iter().map(|(workspace, _, _)| workspace).collect();
    assert_eq!(next, [workspace(1)], "the share of the first one has become smaller");
}

#[test]
fn however_many_workspaces_take_what_they_can_another_one_finds_a_slot() {
    let mut turns = Turns::new(256, 8);
    for number in 0..200 {
        for attempt in 0..256 {
            turns.wait(&workspace(number), &endpoint(attempt), attempt);
        }
    }
    let taken = given(&mut turns).len();
    assert!(taken < 256, "{taken}");
    turns.wait(&workspace(1_000), &endpoint(0), 0);
    assert_eq!(given(&mut turns), [(workspace(1_000), endpoint(0), 0)]);
}

#[test]
fn an_endpoint_has_eight_at_once_and_keeps_its_order() {
    let mut turns = Turns::new(256, 8);
    for attempt in 0..20 {
        turns.wait(&workspace(0), &endpoint(0), attempt);
    }
    let first: Vec<_> = given(&mut turns).into_iter().map(|(_, _, attempt)| attempt).collect();
    assert_eq!(first, [0, 1, 2, 3, 4, 5, 6, 7]);
    turns.release(&workspace(0), &endpoint(0));
    assert_eq!(given(&mut turns), [(workspace(0), endpoint(0), 8)]);
}

#[test]
fn a_free_slot_goes_round_workspaces_and_endpoints() {
    let mut turns = Turns::new(4, 8);
    // Two slots are taken by somebody who keeps them.
    for number in 0..2 {
        turns.wait(&workspace(9), &endpoint(number), 0);
    }
    assert_eq!(given(&mut turns).len(), 2);
    for attempt in 0..2 {
        for number in 0..3 {
            turns.wait(&workspace(0), &endpoint(number), attempt);
        }
        turns.wait(&workspace(1), &endpoint(0), attempt);
    }
    let mut order = Vec::new();
    while let Some((workspace, endpoint, attempt)) = turns.next() {
        turns.release(&workspace, &endpoint);
        order.push(format!("{workspace}{endpoint}.{attempt}"));
    }
    assert_eq!(
        order,
        ["w0e0.0", "w1e0.0", "w0e1.0", "w1e0.1", "w0e2.0", "w0e0.1", "w0e1.1", "w0e2.1"]
    );
}

#[tokio::test]
async fn who_stops_waiting_gives_the_turn_up() {
    let slots = Slots::new();
    let mut held = Vec::new();
    for number in 0..AT_ONCE_MAX_ENDPOINT {
        let slot = slots.line_up(&workspace(0), &endpoint(0)).await;
        held.push(slot.unwrap_or_else(|_| panic!("{number}")));
    }
    let gone = slots.line_up(&workspace(0), &endpoint(0));
    let mut waits = slots.line_up(&workspace(0), &endpoint(0));
    drop(gone);
    assert!(waits.try_recv().is_err());
    held.pop();
    drop(waits.await.unwrap());
    drop(held);
    assert!(slots.turns().workspaces.is_empty(), "nothing is left of who neither sends nor waits");
    assert_eq!(slots.turns().used, 0);
}

#[derive(Debug, Clone)]
enum Step {
    Wait(usize, usize),
    Release(prop::sample::Index),
}

fn steps() -> impl Strategy<Value = Vec<Step>> {
    let step = prop_oneof![
        3 => (0..6_usize, 0..6_usize).prop_map(|(workspace, endpoint)| Step::Wait(workspace, endpoint)),
        2 => any::<prop::sample::Index>().prop_map(Step::Release),
    ];
    proptest::collection::vec(step, 0..200)
}

proptest! {
    #[test]
    fn no_share_is_passed_nobody_is_forgotten_and_a_newcomer_goes_first(steps in steps()) {
        const TOTAL: usize = 12;
        const PER_ENDPOINT: usize = 3;
        let mut turns = Turns::new(TOTAL, PER_ENDPOINT);
        let mut running: Vec<(WorkspaceId, EndpointId)> = Vec::new();
        let (mut waited, mut started) = (0_usize, BTreeSet::new());
        for step in steps {
            match step {
                Step::Wait(w, e) => {
                    turns.wait(&workspace(w), &endpoint(e), waited);
                    waited += 1;
                }
                Step::Release(index) => {
                    if !running.is_empty() {
                        let (workspace, endpoint) = running.swap_remove(index.index(running.len()));
                        turns.release(&workspace, &endpoint);
                    }
                }
            }
            loop {
                let left = TOTAL - running.len();
                let Some((workspace, endpoint, attempt)) = turns.next() else { break };
                let of_workspace = running.iter().filter(|it| it.0 == workspace).count();
                let of_endpoint = running.iter().filter(|it| **it == (workspace.clone(), endpoint.clone())).count();
                prop_assert!(of_workspace < left && of_endpoint < PER_ENDPOINT);
                prop_assert!(started.insert(attempt), "twice");
                running.push((workspace, endpoint));
            }
            // Who has nothing under way waits only while no slot is free at all.
            let left_out = turns.workspaces.values().any(|it| it.used == 0 && !it.turns.is_empty());
            prop_assert!(!left_out || running.len() == TOTAL);
        }
        while let Some((workspace, endpoint)) = running.pop() {
            turns.release(&workspace, &endpoint);
            while let Some((workspace, endpoint, attempt)) = turns.next() {
                started.insert(attempt);
                running.push((workspace, endpoint));
            }
        }
        prop_assert_eq!(started.len(), waited);
        prop_assert!(turns.workspaces.is_empty() && turns.order.is_empty() && turns.used == 0);
    }
}
