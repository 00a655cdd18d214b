//! Who works there: the file's people, groups and categories as agents, queues and skills.

use std::collections::{BTreeMap, BTreeSet};

use super::file::Row;
use super::plan::DEFAULT_QUEUE;

/// Units that one ticket costs: they all come by API.
const TICKET_UNITS: i32 = 20;
/// The least that an agent can hold.
const LEAST_UNITS: i32 = 100;
/// Everybody knows a little of what their group gets.
const LEVEL_OF_THE_GROUP: u32 = 1;
/// Who has had a ticket of a category in hand.
const LEVEL_OF_EXPERIENCE: u32 = 2;
/// How many groups take offers by hand.
const GROUPS_BY_HAND: usize = 2;

/// A person of the file.
#[derive(Debug, Clone)]
pub(crate) struct AgentPlan {
    /// `resolver-6`.
    pub(crate) id: String,
    /// `Resolver 6`.
    pub(crate) name: String,
    pub(crate) queues: BTreeSet<String>,
    /// Levels by skill.
    pub(crate) skills: BTreeMap<String, u32>,
    pub(crate) capacity_units: i32,
}

impl AgentPlan {
    /// Whether this agent, present and idle, could take such a ticket.
    pub(crate) fn could_take(&self, queue: &str, skill: Option<&(String, u32)>) -> bool {
        self.queues.contains(queue)
            && skill.is_none_or(|(skill, least)| {
                self.skills.get(skill).is_some_and(|level| level >= least)
            })
    }
}

/// A group of the file.
#[derive(Debug, Clone)]
pub(crate) struct QueuePlan {
    /// `group-70`.
    pub(crate) id: String,
    /// `Group 70`.
    pub(crate) name: String,
    /// Whether its people accept or decline by hand.
    pub(crate) by_hand: bool,
}

/// Everybody and every queue.
#[derive(Debug, Clone)]
pub(crate) struct Roster {
    pub(crate) agents: Vec<AgentPlan>,
    pub(crate) queues: Vec<QueuePlan>,
}

impl Roster {
    /// Derives it from rows that are in order.
    pub(crate) fn of(rows: &[Row]) -> Self {
        let queues = queues(rows);
        let most = most_at_once(rows);
        let of_group = categories_of_groups(rows);
        let mut people: BTreeMap<&str, AgentPlan> = BTreeMap::new();
        let mut had: BTreeMap<(&str, &str), BTreeSet<&str>> = BTreeMap::new();
        for row in rows {
            let Some(person) = row.person.as_deref() else { continue };
            let agent = people.entry(person).or_insert_with(|| AgentPlan {
                id: plain_id(person),
                name: person.to_owned(),
                queues: BTreeSet::new(),
                skills: BTreeMap::new(),
                capacity_units: units(most.get(person).copied().unwrap_or(0)),
            });
            agent.queues.insert(queue_of(row.group.as_deref()));
            if let Some(category) = row.category.as_deref() {
                had.entry((person, category)).or_default().insert(&row.number);
            }
        }
        for agent in people.values_mut() {
            let known = agent.queues.iter().filter_map(|queue| of_group.get(queue)).flatten();
            agent.skills = known.map(|skill| (skill.clone(), LEVEL_OF_THE_GROUP)).collect();
        }
        for ((person, category), tickets) in had {
            if let Some(agent) = people.get_mut(person) {
                agent.skills.insert(plain_id(category), level(tickets.len()));
            }
        }
        Self { agents: people.into_values().collect(), queues }
    }

    /// What a ticket of this category asks for: someone who has had such a ticket in hand, if every group that it
    /// passes through has one; else someone whose group gets such tickets, if each does.
    pub(crate) fn requirement(
        &self,
        category: Option<&str>,
        queues: &[String],
    ) -> Option<(String, u32)> {
        let skill = plain_id(category?);
        [LEVEL_OF_EXPERIENCE, LEVEL_OF_THE_GROUP].into_iter().find_map(|level| {
            let wanted = (skill.clone(), level);
            let manned = |queue: &&String| self.agents.iter().any(|a| a.queues.contains(*queue));
            let able =
                |queue: &String| self.agents.iter().any(|a| a.could_take(queue, Some(&wanted)));
            queues.iter().filter(manned).all(able).then_some(wanted)
        })
    }
}

/// The queue of a group; a missing group's tickets are for everybody who was seen without one.
pub(crate) fn queue_of(group: Option<&str>) -> String {
    group.map_or_else(|| DEFAULT_QUEUE.to_owned(), plain_id)
}

/// `Group 70` as `group-70`.
fn plain_id(text: &str) -> String {
    text.to_lowercase().split_whitespace().collect::<Vec<_>>().join("-")
}

/// The groups, busiest first among equals by name; the second and third busiest work by hand, for the busiest has
/// people enough to hide what that costs.
fn queues(rows: &[Row]) -> Vec<QueuePlan> {
    let mut tickets: BTreeMap<&str, BTreeSet<&str>> = BTreeMap::new();
    for row in rows {
        if let Some(group) = row.group.as_deref() {
            tickets.entry(group).or_default().insert(&row.number);
        }
    }
    let mut groups: Vec<(&str, usize)> =
        tickets.into_iter().map(|(group, numbers)| (group, numbers.len())).collect();
    groups.sort_by(|a, b| b.1.cmp(&a.1).then(a.0.cmp(b.0)));
    let by_hand = 1..=GROUPS_BY_HAND;
    groups
        .into_iter()
        .enumerate()
        .map(|(rank, (group, _))| QueuePlan {
            id: plain_id(group),
            name: group.to_owned(),
            by_hand: by_hand.contains(&rank),
        })
        .collect()
}

fn categories_of_groups(rows: &[Row]) -> BTreeMap<String, BTreeSet<String>> {
    let mut categories: BTreeMap<String, BTreeSet<String>> = BTreeMap::new();
    for row in rows {
        if let Some(category) = row.category.as_deref() {
            let queue = queue_of(row.group.as_deref());
            categories.entry(queue).or_default().insert(plain_id(category));
        }
    }
    categories
}

/// The most tickets that the file shows in each person's hands at once.
fn most_at_once(rows: &[Row]) -> BTreeMap<&str, usize> {
    let mut holder: BTreeMap<&str, &str> = BTreeMap::new();
    let mut holds: BTreeMap<&str, usize> = BTreeMap::new();
    let mut most: BTreeMap<&str, usize> = BTreeMap::new();
    for row in rows {
        let now = row.person.as_deref().filter(|_| row.state.is_live());
        let before = match now {
            Some(person) => holder.insert(&row.number, person),
            None => holder.remove(row.number.as_str()),
        };
        if before == now {
            continue;
        }
        if let Some(held) = before.and_then(|person| holds.get_mut(person)) {
            *held = held.saturating_sub(1);
        }
        if let Some(person) = now {
            let held = holds.entry(person).or_default();
            *held += 1;
            let peak = most.entry(person).or_default();
            *peak = (*peak).max(*held);
        }
    }
    most
}

fn units(tickets: usize) -> i32 {
    i32::try_from(tickets).unwrap_or(i32::MAX).saturating_mul(TICKET_UNITS).max(LEAST_UNITS)
}

/// 2 for the first tickets of a category, 5 for who has had many.
fn level(tickets: usize) -> u32 {
    match tickets {
        0..=2 => LEVEL_OF_EXPERIENCE,
        3..=6 => 3,
        7..=14 => 4,
        _ => 5,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::demo::file;

    #[test]
    fn the_roster_is_the_files() {
        let roster = Roster::of(&file::rows().unwrap());
        assert_eq!(roster.agents.len(), 122);
        assert_eq!(roster.queues.len(), 61);
        assert_eq!(roster.queues.iter().filter(|queue| queue.by_hand).count(), GROUPS_BY_HAND);
        assert_eq!(roster.queues.first().unwrap().id, "group-70");
        assert!(!roster.queues.first().unwrap().by_hand);
    }

    #[test]
    fn capacity_fits_what_the_file_shows_at_once() {
        let rows = file::rows().unwrap();
        let most = most_at_once(&rows);
        assert_eq!(most.values().max(), Some(&31));
        let roster = Roster::of(&rows);
        let units = |wanted: fn(i32, i32) -> i32| {
            roster.agents.iter().map(|agent| agent.capacity_units).reduce(wanted).unwrap()
        };
        assert_eq!(units(i32::max), 620);
        assert_eq!(units(i32::min), LEAST_UNITS);
    }
}
