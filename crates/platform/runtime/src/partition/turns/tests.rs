//! Turns: whose is next, what is refused, and that nothing is lost.

use std::collections::{BTreeMap, BTreeSet, VecDeque};

use proptest::prelude::*;

use super::*;

const ROOMY: Bounds = Bounds { all: 1000, lane: 1000 };

#[test]
fn each_lane_has_one_turn_before_any_has_a_second() {
    let mut turns = Turns::new(ROOMY);
    for number in 0..5 {
        assert_eq!(turns.push("flood", ("flood", number)), Ok(None));
    }
    for number in 0..2 {
        assert_eq!(turns.push("calm", ("calm", number)), Ok(None));
    }
    let order: Vec<_> = std::iter::from_fn(|| turns.pop()).collect();
    let expected = [
        ("flood", 0),
        ("calm", 0),
        ("flood", 1),
        ("calm", 1),
        ("flood", 2),
        ("flood", 3),
        ("flood", 4),
    ];
    assert_eq!(order, expected);
    assert!(turns.is_empty());
}

#[test]
fn who_comes_back_after_each_turn_waits_for_one_turn_of_each_other() {
    let mut turns = Turns::new(ROOMY);
    for number in 0..100 {
        for lane in ["a", "b"] {
            turns.push(lane, number).unwrap();
        }
    }
    turns.push("calm", 1_000).unwrap();
    for _ in 0..20 {
        let before = std::iter::from_fn(|| turns.pop()).take_while(|item| *item < 1_000).count();
        assert_eq!(before, 2);
        turns.push("calm", 1_000).unwrap();
    }
}

#[test]
fn a_lane_takes_its_share_and_no_more() {
    let mut turns = Turns::new(Bounds { all: 10, lane: 6 });
    for number in 0..6 {
        turns.push("flood", number).unwrap();
    }
    assert_eq!(turns.push("flood", 6), Err((Bound::Lane, 6)));
    for number in 0..4 {
        assert_eq!(turns.push("calm", number), Ok(None));
    }
    assert_eq!(turns.len(), 10);
}

#[test]
fn a_full_queue_lets_a_short_lane_in_at_the_cost_of_the_longest() {
    let mut turns = Turns::new(Bounds { all: 8, lane: 6 });
    for number in 0..6 {
        turns.push("a", ("a", number)).unwrap();
    }
    turns.push("b", ("b", 0)).unwrap();
    turns.push("b", ("b", 1)).unwrap();
    assert_eq!(turns.push("c", ("c", 0)), Ok(Some(("a", 5))), "the newest of the longest");
    assert_eq!(turns.push("b", ("b", 2)), Ok(Some(("a", 4))));
    assert_eq!(turns.push("b", ("b", 3)), Err((Bound::All, ("b", 3))), "it would be the longest");
    let order: Vec<_> = std::iter::from_fn(|| turns.pop()).collect();
    let lanes: String = order.iter().map(|(lane, _)| *lane).collect();
    assert_eq!(lanes, "abcababa");
}

#[derive(Debug, Clone)]
enum Step {
    Push(u8),
    Pop,
}

fn steps() -> impl Strategy<Value = Vec<Step>> {
    // One lane that gets half of everything, and others.
    let lane = prop_oneof![Just(0_u8), 1..6_u8];
    let step = prop_oneof![3 => lane.prop_map(Step::Push), 2 => Just(Step::Pop)];
    prop::collection::vec(step, 1..400)
}

proptest! {
    #[test]
    fn no_lane_is_served_twice_while_another_waits(
        steps in steps(),
        all in 1..40_usize,
        lane in 1..40_usize,
    ) {
        let mut turns = Turns::new(Bounds { all, lane });
        // What waits, by lane; and who was served since when: for each waiting lane, those served since it began to
        // wait.
        let mut model: BTreeMap<u8, VecDeque<usize>> = BTreeMap::new();
        let mut served: BTreeMap<u8, BTreeSet<u8>> = BTreeMap::new();
        for (number, step) in steps.into_iter().enumerate() {
            let len = |model: &BTreeMap<u8, VecDeque<usize>>| {
                model.values().map(VecDeque::len).sum::<usize>()
            };
            match step {
                Step::Push(key) => {
                    let has = model.get(&key).map_or(0, VecDeque::len);
                    let longest = model.values().map(VecDeque::len).max().unwrap_or(0);
                    match turns.push(key, (key, number)) {
                        Err((Bound::Lane, _)) => prop_assert_eq!(has, lane),
                        Err((Bound::All, _)) => {
                            prop_assert_eq!(len(&model), all);
                            prop_assert!(longest <= has + 1, "it might have displaced another");
                        }
                        Ok(displaced) => {
                            prop_assert_eq!(displaced.is_some(), len(&model) == all);
                            if let Some((loser, item)) = displaced {
                                let queue = model.get_mut(&loser).unwrap();
                                prop_assert_eq!(queue.len(), longest);
                                prop_assert_eq!(queue.pop_back(), Some(item));
                                prop_assert!(!queue.is_empty(), "nobody loses the last that waits");
                            }
                            if has == 0 {
                                served.insert(key, BTreeSet::new());
                            }
                            model.entry(key).or_default().push_back(number);
                        }
                    }
                }
                Step::Pop => {
                    model.retain(|_, queue| !queue.is_empty());
                    let Some((key, item)) = turns.pop() else {
                        prop_assert!(model.is_empty());
                        continue;
                    };
                    let queue = model.get_mut(&key).unwrap();
                    prop_assert_eq!(queue.pop_front(), Some(item), "first in, first out");
                    if queue.is_empty() {
                        model.remove(&key);
                    }
                    for other in model.keys().filter(|other| **other != key) {
                        let seen = served.entry(*other).or_default();
                        prop_assert!(seen.insert(key), "{} twice while {} waits", key, other);
                    }
                    served.insert(key, BTreeSet::new());
                }
            }
            prop_assert_eq!(turns.len(), len(&model));
            prop_assert!(turns.len() <= all);
        }
    }
}
