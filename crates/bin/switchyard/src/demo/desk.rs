//! The agents' desktops: read routing's log, know who owns what, and answer offers.

use std::collections::BTreeMap;

use anyhow::{Context, Result, bail};
use prost::Message as _;
use wire::admin::v1::ReadRequest;
use wire::common::v1::Service;
use wire::events::v1::{
    Commit, Event, OfferAccepted, OfferDeclined, OfferExpired, OfferMade, OfferRescinded,
    TicketAssigned, TicketRequeued, TicketTransferred, WorkEnded,
};

use crate::cli::Role;

use super::fleet::Fleet;

/// Records a call.
const PAGE: i32 = 1000;

/// An offer that stands.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Standing {
    pub(crate) offer: String,
    pub(crate) ticket: String,
    pub(crate) agent: String,
    /// The how manieth offer of its ticket, from 1.
    pub(crate) round: u32,
}

/// What an agent does with an offer.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Answer {
    Accept,
    Decline,
    /// Nobody looks at the screen: the offer runs out.
    Ignore,
}

/// What became of the offers.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(crate) struct Offers {
    pub(crate) made: u64,
    pub(crate) accepted: u64,
    pub(crate) declined: u64,
    pub(crate) expired: u64,
    pub(crate) rescinded: u64,
}

/// What the desktops have seen.
#[derive(Debug, Default)]
pub(crate) struct Desk {
    /// The last record read of routing's log.
    seq: u64,
    pub(crate) offers: Offers,
    owners: BTreeMap<String, String>,
    rounds: BTreeMap<String, u32>,
    /// By the order in which they were made.
    standing: BTreeMap<u64, Standing>,
    /// Those that nobody has looked at yet: keys of `standing`.
    unseen: Vec<u64>,
    /// When each ticket first had an owner, in milliseconds since 1970.
    first_assigned_ms: BTreeMap<String, i64>,
}

impl Desk {
    /// Who owns a ticket now.
    pub(crate) fn owner(&self, ticket: &str) -> Option<&str> {
        self.owners.get(ticket).map(String::as_str)
    }

    /// Whether a ticket ever had an owner, and since when.
    pub(crate) fn first_assigned_ms(&self) -> &BTreeMap<String, i64> {
        &self.first_assigned_ms
    }

    /// Whether an offer waits for its deadline.
    pub(crate) fn has_standing_offers(&self) -> bool {
        !self.standing.is_empty()
    }

    /// Offers that stand and that no one was asked about yet, in the order in which they were made.
    pub(crate) fn take_unseen(&mut self) -> Vec<Standing> {
        let unseen = std::mem::take(&mut self.unseen);
        unseen.into_iter().filter_map(|key| self.standing.get(&key).cloned()).collect()
    }

    /// Reads what routing has written up to the head at which the services rest.
    pub(crate) async fn read(&mut self, fleet: &Fleet) -> Result<()> {
        let head = fleet.head(Service::Routing);
        while self.seq < head {
            let request = ReadRequest {
                service: Service::Routing.into(),
                partition: fleet.partition(),
                from_seq: self.seq + 1,
                max_records: PAGE,
                decode: false,
            };
            let reply = fleet.client(Role::Routing)?.log().read(request).await?.into_inner();
            if reply.records.is_empty() {
                bail!("routing's log ends at {}, before its head {head}", self.seq);
            }
            for record in reply.records {
                let commit = Commit::decode(record.data).context("a record of routing's log")?;
                for event in &commit.events {
                    self.see(event)?;
                }
                self.seq = commit.seq;
            }
        }
        Ok(())
    }

    fn see(&mut self, event: &Event) -> Result<()> {
        let data = event.data.clone();
        match event.r#type.as_str() {
            "OfferMade" => self.made(OfferMade::decode(data)?),
            "OfferAccepted" => {
                let accepted = OfferAccepted::decode(data)?;
                self.offers.accepted += 1;
                self.end(&accepted.offer_id);
                self.own(accepted.ticket_id, accepted.agent_id, event.occurred_at_ms);
            }
            "OfferDeclined" => {
                self.offers.declined += 1;
                self.end(&OfferDeclined::decode(data)?.offer_id);
            }
            "OfferExpired" => {
                self.offers.expired += 1;
                self.end(&OfferExpired::decode(data)?.offer_id);
            }
            "OfferRescinded" => {
                self.offers.rescinded += 1;
                self.end(&OfferRescinded::decode(data)?.offer_id);
            }
            "TicketAssigned" => {
                let assigned = TicketAssigned::decode(data)?;
                self.own(assigned.ticket_id, assigned.agent_id, event.occurred_at_ms);
            }
            "TicketTransferred" => {
                let transferred = TicketTransferred::decode(data)?;
                if transferred.to_agent_id.is_empty() {
                    self.owners.remove(&transferred.ticket_id);
                } else {
                    let (ticket, agent) = (transferred.ticket_id, transferred.to_agent_id);
                    self.own(ticket, agent, event.occurred_at_ms);
                }
            }
            "TicketRequeued" => drop(self.owners.remove(&TicketRequeued::decode(data)?.ticket_id)),
            "WorkEnded" => drop(self.owners.remove(&WorkEnded::decode(data)?.ticket_id)),
            // Settings, presence and the state of work change neither owners nor offers.
            _ => {}
        }
        Ok(())
    }

    fn made(&mut self, made: OfferMade) {
        self.offers.made += 1;
        let round = self.rounds.entry(made.ticket_id.clone()).or_default();
        *round += 1;
        let standing = Standing {
            offer: made.offer_id,
            ticket: made.ticket_id,
            agent: made.agent_id,
            round: *round,
        };
        self.standing.insert(self.offers.made, standing);
        self.unseen.push(self.offers.made);
    }

    fn end(&mut self, offer: &str) {
        self.standing.retain(|_, standing| standing.offer != offer);
    }

    fn own(&mut self, ticket: String, agent: String, at_ms: i64) {
        self.first_assigned_ms.entry(ticket.clone()).or_insert(at_ms);
        self.owners.insert(ticket, agent);
    }
}

/// What the agent does: drawn from the seed, the ticket and the round, so that every run draws the same.
pub(crate) fn answer(seed: u64, standing: &Standing) -> Answer {
    let drawn = blake3::hash(format!("{seed}/{}/{}", standing.ticket, standing.round).as_bytes());
    match drawn.as_bytes().first().copied().unwrap_or_default() {
        // Of 256: 12 %, 8 %, and the rest.
        0..=30 => Answer::Decline,
        31..=50 => Answer::Ignore,
        51.. => Answer::Accept,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn most_offers_are_accepted_and_each_answer_happens() {
        let answers: Vec<Answer> = (0..400)
            .map(|number| Standing {
                offer: String::new(),
                ticket: format!("INC{number}"),
                agent: String::new(),
                round: 1,
            })
            .map(|standing| answer(7, &standing))
            .collect();
        let count = |wanted| answers.iter().filter(|answer| **answer == wanted).count();
        assert!(count(Answer::Accept) > 280);
        assert!(count(Answer::Decline) > 20);
        assert!(count(Answer::Ignore) > 10);
    }
}
