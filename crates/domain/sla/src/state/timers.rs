//! The next timer of each ticket, by workspace, so that thousands due in one delay none of another.

use std::collections::{BTreeMap, BTreeSet, VecDeque};

use kernel::{TicketId, Timestamp, WorkspaceId};
use serde::{Deserialize, Serialize};

/// The next timer of each ticket that has one.
///
/// **Invariant:** `first` holds the earliest timer of each workspace that has any.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Timers {
    of: BTreeMap<WorkspaceId, OfWorkspace>,
    first: BTreeSet<(Timestamp, WorkspaceId)>,
}

#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(transparent)]
struct OfWorkspace(
    #[serde(deserialize_with = "kernel::in_order::set")] BTreeSet<(Timestamp, TicketId)>,
);

impl Timers {
    /// A ticket's next timer is another one.
    pub(crate) fn replace(
        &mut self,
        workspace: &WorkspaceId,
        ticket: &TicketId,
        before: Option<Timestamp>,
        after: Option<Timestamp>,
    ) {
        if before == after {
            return;
        }
        let timers = &mut self.of.entry(workspace.clone()).or_default().0;
        let first = timers.first().map(|(at, _)| *at);
        if let Some(at) = before {
            timers.remove(&(at, ticket.clone()));
        }
        if let Some(at) = after {
            timers.insert((at, ticket.clone()));
        }
        let next = timers.first().map(|(at, _)| *at);
        if next.is_none() {
            self.of.remove(workspace);
        }
        if first == next {
            return;
        }
        if let Some(at) = first {
            self.first.remove(&(at, workspace.clone()));
        }
        if let Some(at) = next {
            self.first.insert((at, workspace.clone()));
        }
    }

    /// The earliest timer of a ticket for which this doesn't hold.
    pub(crate) fn earliest_but(
        &self,
        doubtful: impl Fn(&WorkspaceId, &TicketId) -> bool,
    ) -> Option<Timestamp> {
        let mut earliest: Option<Timestamp> = None;
        for (first, workspace) in &self.first {
            if earliest.is_some_and(|at| at <= *first) {
                break;
            }
            let mut sound = self.of_workspace(workspace).filter(|(_, id)| !doubtful(workspace, id));
            earliest = earliest.into_iter().chain(sound.next().map(|(at, _)| *at)).min();
        }
        earliest
    }

    /// What is due at `now` of tickets for which this doesn't hold, at most `max`: of each workspace its earliest
    /// before any has a second, the workspaces by their earliest.
    pub(crate) fn due_but(
        &self,
        now: Timestamp,
        max: usize,
        doubtful: impl Fn(&WorkspaceId, &TicketId) -> bool,
    ) -> Vec<(Timestamp, &WorkspaceId, &TicketId)> {
        let doubtful = &doubtful;
        let begun = self.first.iter().take_while(|(at, _)| *at <= now);
        let mut lanes: VecDeque<_> = begun
            .map(|(_, workspace)| {
                let come = self.of_workspace(workspace).take_while(|(at, _)| *at <= now);
                (workspace, come.filter(move |(_, ticket)| !doubtful(workspace, ticket)))
            })
            .take(max)
            .collect();
        let mut due = Vec::new();
        while due.len() < max {
            let Some((workspace, mut timers)) = lanes.pop_front() else { break };
            if let Some((at, ticket)) = timers.next() {
                due.push((*at, workspace, ticket));
                lanes.push_back((workspace, timers));
            }
        }
        due
    }

    fn of_workspace(
        &self,
        workspace: &WorkspaceId,
    ) -> impl Iterator<Item = &(Timestamp, TicketId)> + use<'_> {
        self.of.get(workspace).into_iter().flat_map(|timers| &timers.0)
    }

    /// All of them.
    #[cfg(test)]
    pub(crate) fn all(&self) -> BTreeSet<(Timestamp, WorkspaceId, TicketId)> {
        let all = self.of.iter().flat_map(|(workspace, timers)| {
            timers.0.iter().map(|(at, ticket)| (*at, workspace.clone(), ticket.clone()))
        });
        all.collect()
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn names(workspace: u8, ticket: u8) -> (WorkspaceId, TicketId) {
        let workspace = WorkspaceId::trusted(&format!("w{workspace}"));
        (workspace, TicketId::trusted(&format!("t{ticket}")))
    }

    fn at(millis: u8) -> Timestamp {
        Timestamp::from_millis(i64::from(millis))
    }

    #[test]
    fn thousands_due_in_one_workspace_delay_none_of_another() {
        let mut timers = Timers::default();
        for ticket in 0..200 {
            let (flood, ticket) = names(0, ticket);
            timers.replace(&flood, &ticket, None, Some(at(1)));
        }
        for ticket in 0..2 {
            let (calm, ticket) = names(1, ticket);
            timers.replace(&calm, &ticket, None, Some(at(9)));
        }
        let due = timers.due_but(at(9), 8, |_, _| false);
        let order: String = due.iter().map(|(_, of, _)| &of.as_str()[1..]).collect();
        assert_eq!(order, "01010000");
    }

    proptest! {
        #[test]
        fn they_are_what_a_plain_list_would_be(
            changes in prop::collection::vec((0..4_u8, 0..8_u8, prop::option::of(0..50_u8)), 1..120),
            now in 0..50_u8,
            doubted in 0..9_u8,
        ) {
            let mut timers = Timers::default();
            let mut plain: BTreeMap<(WorkspaceId, TicketId), Timestamp> = BTreeMap::new();
            for (workspace, ticket, after) in changes {
                let key = names(workspace, ticket);
                let after = after.map(at);
                let before = plain.get(&key).copied();
                timers.replace(&key.0, &key.1, before, after);
                match after {
                    Some(after) => plain.insert(key, after),
                    None => plain.remove(&key),
                };
            }
            let doubtful = |_: &WorkspaceId, ticket: &TicketId| *ticket == names(0, doubted).1;
            let sound: BTreeSet<_> = plain
                .iter()
                .filter(|((workspace, ticket), _)| !doubtful(workspace, ticket))
                .map(|((workspace, ticket), at)| (*at, workspace, ticket))
                .collect();
            let earliest = sound.first().map(|(at, ..)| *at);
            prop_assert_eq!(timers.earliest_but(doubtful), earliest);
            let due: Vec<_> = timers.due_but(at(now), usize::MAX, doubtful);
            let wanted: BTreeSet<_> =
                sound.iter().copied().filter(|(due, ..)| *due <= at(now)).collect();
            prop_assert_eq!(due.iter().copied().collect::<BTreeSet<_>>(), wanted.clone());
            prop_assert_eq!(due.len(), wanted.len());
            // Within a workspace they come in their order.
            for (_, workspace, _) in &due {
                prop_assert!(due.iter().filter(|(_, of, _)| of == workspace).is_sorted());
            }
        }
    }
}
