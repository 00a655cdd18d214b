//! Who is there, and who should lead what: pure, so that all who see the same come to the same.

use std::collections::BTreeMap;
use std::time::Duration;

use event_log::{NOTICE_STANDS, Seq};
use kernel::planted::{self, Bug};
use tokio::time::Instant;

use super::notice::{Role, Standing};
use crate::{LogId, ServiceId};

/// How long nobody may be seen to lead before someone else does who wasn't asked to: a leader whose notice went missing
/// has had time to put it up again.
pub(crate) const GRACE: Duration = Duration::from_millis(1500);

/// How long an instance must have been there before others give their partitions back to it.
const SETTLED_AFTER: Duration = NOTICE_STANDS;

/// Who of `members` should lead a partition, by rendezvous hashing: each scores its own hash, the highest leads. When a
/// member goes, only what was its own moves; when one comes, only what becomes its own.
pub(crate) fn owner_of<'a>(
    service: ServiceId,
    partition: u16,
    members: impl IntoIterator<Item = &'a str>,
) -> Option<&'a str> {
    let score = |member: &str| {
        let mut hasher = blake3::Hasher::new();
        hasher.update(service.name().as_bytes()).update(&partition.to_be_bytes());
        *hasher.update(member.as_bytes()).finalize().as_bytes()
    };
    members.into_iter().max_by_key(|member| score(member))
}

/// Another instance, as the board shows it.
#[derive(Debug, Clone)]
pub(crate) struct Member {
    pub(crate) address: String,
    pub(crate) draining: bool,
    pub(crate) standings: BTreeMap<u16, Standing>,
    /// Since when it has been there without a break.
    pub(crate) since: Instant,
}

impl Member {
    fn standing(&self, partition: u16) -> Standing {
        self.standings.get(&partition).copied().unwrap_or_default()
    }
}

/// A leader, as the board shows it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Leader {
    pub(crate) instance: String,
    pub(crate) address: String,
    pub(crate) epoch: u64,
    pub(crate) head: Seq,
}

/// The board, as one instance sees it.
#[derive(Debug, Clone, Default)]
pub(crate) struct View {
    /// When this instance's own notice first came back from the board; `None`: it hasn't yet, so nothing that is seen
    /// counts.
    pub(crate) joined_at: Option<Instant>,
    /// This instance is about to stop.
    pub(crate) draining: bool,
    /// The others that are alive.
    pub(crate) others: BTreeMap<String, Member>,
}

/// One instance's place: which partition, and who it is itself.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Place<'a> {
    pub(crate) service: ServiceId,
    pub(crate) partition: u16,
    pub(crate) me: &'a str,
}

/// Why a leader should look up from its work.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Summons {
    /// The partition belongs to another, who is ready for it.
    HandOver,
    /// Another says that it leads in this later epoch.
    Rival(u64),
    /// Nothing before this instant.
    NotBefore(Instant),
    /// Nothing before the board changes.
    Nothing,
}

impl View {
    /// Who leads the partition, as far as is known here: whoever says so in the latest epoch, but in none before
    /// `epoch`.
    pub(crate) fn leader(&self, partition: u16, epoch: u64) -> Option<Leader> {
        let leaders = self.others.iter().filter_map(|(instance, member)| {
            let Standing { role, epoch: its, head, .. } = member.standing(partition);
            (role == Role::Leads && its >= epoch).then(|| Leader {
                instance: instance.clone(),
                address: member.address.clone(),
                epoch: its,
                head,
            })
        });
        leaders.max_by_key(|leader| leader.epoch)
    }

    /// The other instances that have read the log `log_id` beyond `last`, or have read another log of the partition:
    /// each one's address, that log's identity, and the last record of it that the instance knows.
    pub(crate) fn knows_more(
        &self,
        partition: u16,
        log_id: LogId,
        last: Seq,
    ) -> Vec<(String, LogId, Seq)> {
        let known = self.others.values().filter_map(|member| {
            let Standing { log_id: its, head, .. } = member.standing(partition);
            let more = head > 0 && (its != log_id || head > last) && its != LogId::default();
            more.then(|| (member.address.clone(), its, head))
        });
        known.collect()
    }

    /// Which other instance, of those who could at once, should lead it now that nobody does; `None`: this one should,
    /// or none could. `warm`: this instance could.
    fn heir(&self, place: Place<'_>, warm: bool) -> Option<&str> {
        let ready = |member: &&Member| {
            !member.draining && member.standing(place.partition).role == Role::Warm
        };
        let others = self.others.iter().filter(|(_, member)| ready(member));
        let others = others.map(|(instance, _)| instance.as_str());
        let best = owner_of(place.service, place.partition, others)?;
        let me = if planted::is(Bug::HeirsDisagree) {
            place.me.trim_end_matches(char::is_numeric)
        } else {
            place.me
        };
        let mine = warm
            && !self.draining
            && owner_of(place.service, place.partition, [best, me]) == Some(me);
        (!mine).then_some(best)
    }

    /// Whether another instance could lead the partition at once.
    pub(crate) fn has_heir(&self, place: Place<'_>) -> bool {
        self.heir(place, false).is_some()
    }

    /// What a leader of `epoch` should know.
    pub(crate) fn summons(&self, place: Place<'_>, epoch: u64, now: Instant) -> Summons {
        if let Some(rival) = self.leader(place.partition, epoch + 1) {
            return Summons::Rival(rival.epoch);
        }
        if self.draining {
            return if self.has_heir(place) { Summons::HandOver } else { Summons::Nothing };
        }
        let able = |member: &&Member| {
            !member.draining && member.standing(place.partition).role != Role::Out
        };
        let others = self.others.iter().filter(|(_, member)| able(member));
        let all = others.map(|(instance, _)| instance.as_str()).chain([place.me]);
        let owner = owner_of(place.service, place.partition, all);
        let Some(owner) = owner.and_then(|owner| self.others.get(owner)) else {
            return Summons::Nothing;
        };
        let settled = owner.since + SETTLED_AFTER;
        match owner.standing(place.partition).role {
            Role::Warm if now >= settled => Summons::HandOver,
            Role::Warm => Summons::NotBefore(settled),
            Role::Out | Role::Cold | Role::Leads | Role::Stalled => Summons::Nothing,
        }
    }
}

/// What a standby should do.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Verdict {
    /// Nothing before the board changes.
    Stay,
    /// Nothing before this instant.
    NotBefore(Instant),
    /// Claim the log now.
    Claim,
}

/// A standby's memory of who led.
#[derive(Debug, Clone, Default)]
pub(crate) struct Vacancy {
    epoch: u64,
    last: Option<String>,
    since: Option<Instant>,
}

impl Vacancy {
    /// What is known of a log whose last record is of this epoch: nobody was seen to lead it yet.
    pub(crate) fn of(epoch: u64) -> Self {
        Self { epoch, ..Self::default() }
    }

    /// Takes in what the board shows, for an instance that couldn't lead yet.
    pub(crate) fn notice(&mut self, view: &View, place: Place<'_>, now: Instant) {
        self.verdict(view, place, (self.epoch, false), now);
    }

    /// Whether this instance should take over, given that its log shows `epoch`. `warm`: it could at once.
    pub(crate) fn verdict(
        &mut self,
        view: &View,
        place: Place<'_>,
        (epoch, warm): (u64, bool),
        now: Instant,
    ) -> Verdict {
        let Some(joined) = view.joined_at else { return Verdict::Stay };
        if let Some(leader) = view.leader(place.partition, epoch) {
            *self = Self { epoch, last: Some(leader.instance), since: None };
            return Verdict::Stay;
        }
        if epoch > self.epoch {
            // Somebody has just claimed it and will say so.
            *self = Self { epoch, last: None, since: Some(now) };
        }
        let since = *self.since.get_or_insert(now);
        if !warm || view.draining || view.heir(place, warm).is_some() {
            return Verdict::Stay;
        }
        let last = self.last.as_ref().and_then(|last| view.others.get(last));
        match last.map(|last| last.standing(place.partition).role) {
            // It is there and has given the partition up: no need to wait for anything.
            Some(Role::Out | Role::Cold | Role::Warm) => Verdict::Claim,
            Some(Role::Leads | Role::Stalled) | None => {
                let at = since.max(joined) + GRACE;
                if now >= at { Verdict::Claim } else { Verdict::NotBefore(at) }
            }
        }
    }

    /// The log couldn't be reached when it was to be claimed: whoever leads could have the same trouble, and gets the
    /// same time again to say so.
    pub(crate) fn again(&mut self, now: Instant) {
        self.since = Some(now);
        self.last = None;
    }
}

#[cfg(test)]
mod tests;
