//! Whose turn it is, whoever comes and goes.

use proptest::prelude::*;

use super::*;

const SERVICE: ServiceId = ServiceId::Routing;
const ME: Place<'static> = Place { service: SERVICE, partition: 0, me: "me" };

/// A name that would, or would not, be preferred to `me`.
fn name(preferred: bool) -> String {
    let wins = |name: &String| owner_of(SERVICE, 0, [name.as_str(), "me"]) == Some(name);
    (0..1000).map(|n: u32| format!("i{n}")).find(|name| wins(name) == preferred).unwrap()
}

fn member(role: Role, epoch: u64, since: Instant) -> Member {
    let standing = Standing { role, epoch, head: 10, ..Standing::default() };
    Member {
        address: "there:1".into(),
        draining: false,
        standings: BTreeMap::from([(0, standing)]),
        since,
    }
}

fn view(others: impl IntoIterator<Item = (String, Member)>, now: Instant) -> View {
    View { joined_at: Some(now), draining: false, others: others.into_iter().collect() }
}

proptest! {
    #[test]
    fn every_partition_has_one_owner_whatever_the_order(
        members in proptest::collection::btree_set("[a-z0-9]{1,8}", 1..9),
        partition in 0_u16..64,
    ) {
        let owner = owner_of(SERVICE, partition, members.iter().map(String::as_str));
        let backwards = owner_of(SERVICE, partition, members.iter().rev().map(String::as_str));
        prop_assert!(owner.is_some_and(|owner| members.contains(owner)));
        prop_assert_eq!(owner, backwards);
    }

    #[test]
    fn when_a_member_goes_only_its_own_moves(
        members in proptest::collection::btree_set("[a-z0-9]{1,8}", 2..9),
        gone in any::<proptest::sample::Index>(),
    ) {
        let gone = gone.get(&members.iter().cloned().collect::<Vec<_>>()).clone();
        for partition in 0..64 {
            let before = owner_of(SERVICE, partition, members.iter().map(String::as_str));
            let left = members.iter().filter(|member| **member != gone).map(String::as_str);
            let after = owner_of(SERVICE, partition, left);
            prop_assert!(before == Some(gone.as_str()) || before == after);
        }
    }

    #[test]
    fn of_all_who_see_the_same_one_at_most_inherits(
        members in proptest::collection::btree_map("[a-z0-9]{1,8}", 0_usize..4, 1..9),
    ) {
        let now = Instant::now();
        let role = |kind: usize| [Role::Out, Role::Cold, Role::Warm, Role::Warm][kind];
        let all: BTreeMap<_, _> =
            members.iter().map(|(name, kind)| (name.clone(), member(role(*kind), 1, now))).collect();
        let claimants = members.keys().filter(|name| {
            let mut others = all.clone();
            let own = others.remove(*name).unwrap();
            let warm = own.standing(0).role == Role::Warm;
            let place = Place { service: SERVICE, partition: 0, me: name };
            let seen = view(others, now);
            let mut vacancy = Vacancy::default();
            vacancy.verdict(&seen, place, (1, warm), now);
            vacancy.verdict(&seen, place, (1, warm), now + GRACE) == Verdict::Claim
        });
        let any_warm = all.values().any(|member| member.standing(0).role == Role::Warm);
        prop_assert_eq!(claimants.count(), usize::from(any_warm));
    }
}

#[test]
fn partitions_spread_over_the_members() {
    let members = ["a", "b", "c"];
    let mut led = BTreeMap::new();
    for partition in 0..3000 {
        *led.entry(owner_of(SERVICE, partition, members).unwrap()).or_insert(0) += 1;
    }
    assert!(led.values().all(|count| (800..=1200).contains(count)), "{led:?}");
}

#[test]
fn a_standby_waits_for_a_leader_and_a_while_for_one_that_vanished() {
    let now = Instant::now();
    let mut vacancy = Vacancy::default();
    let led = view([(name(true), member(Role::Leads, 4, now))], now);
    assert_eq!(vacancy.verdict(&led, ME, (4, true), now), Verdict::Stay);
    let gone = view([], now);
    let soon = Verdict::NotBefore(now + GRACE);
    assert_eq!(vacancy.verdict(&gone, ME, (4, true), now), soon);
    assert_eq!(vacancy.verdict(&gone, ME, (4, false), now + GRACE), Verdict::Stay, "not warm");
    assert_eq!(vacancy.verdict(&gone, ME, (4, true), now + GRACE), Verdict::Claim);
    // Before the own notice came back nothing counts.
    let unseen = View { joined_at: None, ..gone };
    assert_eq!(vacancy.verdict(&unseen, ME, (4, true), now + GRACE), Verdict::Stay);
}

#[test]
fn what_nobody_led_while_it_was_loaded_is_taken_at_once() {
    let now = Instant::now();
    let loaded = now + GRACE;
    let empty = view([], now);
    let mut vacancy = Vacancy::of(4);
    vacancy.notice(&empty, ME, now);
    assert_eq!(vacancy.clone().verdict(&empty, ME, (4, true), loaded), Verdict::Claim);
    // Claimed meanwhile: whoever did will say so.
    let later = Verdict::NotBefore(loaded + GRACE);
    assert_eq!(vacancy.clone().verdict(&empty, ME, (5, true), loaded), later);
    // Led meanwhile by someone who is gone again.
    vacancy.notice(&view([(name(true), member(Role::Leads, 4, now))], now), ME, now);
    assert_eq!(vacancy.verdict(&empty, ME, (4, true), loaded), later);
}

#[test]
fn what_was_given_up_is_taken_at_once_and_what_stalls_after_a_while() {
    let now = Instant::now();
    let mut vacancy = Vacancy::default();
    let mut seen = view([(name(false), member(Role::Leads, 4, now))], now);
    vacancy.verdict(&seen, ME, (4, true), now);
    let standings = |seen: &mut View, role| {
        let standing = Standing { role, epoch: 4, head: 10, ..Standing::default() };
        for one in seen.others.values_mut() {
            one.standings.insert(0, standing);
        }
    };
    standings(&mut seen, Role::Stalled);
    let soon = Verdict::NotBefore(now + GRACE);
    assert_eq!(vacancy.verdict(&seen, ME, (4, true), now), soon);
    standings(&mut seen, Role::Warm);
    assert_eq!(vacancy.verdict(&seen, ME, (4, true), now), Verdict::Claim);
    // Somebody else was quicker.
    assert_eq!(vacancy.verdict(&seen, ME, (5, true), now), soon);
}

#[test]
fn a_leader_of_an_epoch_that_is_over_counts_for_nothing() {
    let now = Instant::now();
    let zombie = view([(name(true), member(Role::Leads, 4, now))], now);
    assert!(zombie.leader(0, 4).is_some());
    assert_eq!(zombie.leader(0, 5), None);
    assert_eq!(zombie.summons(ME, 3, now), Summons::Rival(4));
    assert_eq!(zombie.summons(ME, 5, now), Summons::Nothing);
}

#[test]
fn a_leader_hands_over_to_an_owner_that_is_warm_and_settled() {
    let now = Instant::now();
    let settled = now + SETTLED_AFTER;
    let warm = view([(name(true), member(Role::Warm, 4, now))], now);
    assert_eq!(warm.summons(ME, 4, now), Summons::NotBefore(settled));
    assert_eq!(warm.summons(ME, 4, settled), Summons::HandOver);
    let cold = view([(name(true), member(Role::Cold, 4, now))], now);
    assert_eq!(cold.summons(ME, 4, settled), Summons::Nothing);
    let lesser = view([(name(false), member(Role::Warm, 4, now))], now);
    assert_eq!(lesser.summons(ME, 4, settled), Summons::Nothing);
    // Who drains gives it to anyone who could.
    assert_eq!(View { draining: true, ..lesser }.summons(ME, 4, now), Summons::HandOver);
    assert_eq!(View { draining: true, ..cold }.summons(ME, 4, now), Summons::Nothing);
}
