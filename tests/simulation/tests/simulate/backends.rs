//! Backends: they open tickets, pass on what customers write, and change their minds.

use std::sync::Arc;

use intake_service::IntakeService;
use prost_types::FieldMask;
use wire::common::v1::{Channel, Priority, SkillRequirement, TicketStatus};
use wire::events::v1::{AuthorKind, Requester, Visibility};
use wire::intake::v1 as intake;
use wire::intake::v1::get_ticket_request::By;
use wire::intake::v1::intake_service_client::IntakeServiceClient;
use wire::routing::v1 as routing;

use crate::asked::{Head, in_time};
use crate::call::Caller;
use crate::scene::{AGENTS, agent, agent_id, policy};

/// A ticket as its backend knows it.
#[derive(Debug, Clone)]
struct Mine {
    ticket: String,
    /// The last revision and position that a reply named.
    revision: u64,
    position: String,
}

pub(crate) async fn run(caller: Caller) {
    let world = Arc::clone(&caller.world);
    let mut backend = Backend { caller, mine: Vec::new(), last: None };
    while world.works() {
        backend.caller.pause(50..1_300).await;
        backend.step().await;
    }
}

struct Backend {
    caller: Caller,
    mine: Vec<Mine>,
    /// The last ticket that was asked for, to be asked for again.
    last: Option<intake::CreateTicketRequest>,
}

impl Backend {
    async fn step(&mut self) {
        let deed = self.caller.rng.range(0..100);
        let Some(mine) = self.caller.rng.pick(&self.mine).cloned() else {
            return self.create().await;
        };
        match deed {
            0..=33 => self.create().await,
            34..=45 => self.customer_writes(mine).await,
            46..=51 => self.prioritise(mine).await,
            52..=55 => self.wait(mine).await,
            56..=58 => self.resume(mine).await,
            59..=62 => self.resolve(mine).await,
            63..=65 => self.reopen(mine).await,
            66 => self.close(mine).await,
            67..=70 => self.transfer(mine).await,
            71..=73 => self.assign(mine).await,
            74..=75 => self.resettle().await,
            76 => self.change_policy().await,
            77..=82 => self.repeat().await,
            83..=85 => self.reuse_id().await,
            86..=87 => self.nonsense().await,
            _ => self.look(mine).await,
        }
    }

    fn priority(&mut self) -> i32 {
        let all = [Priority::P1, Priority::P2, Priority::P3, Priority::P4];
        self.caller.rng.pick(&all).copied().unwrap_or(Priority::P3).into()
    }

    async fn create(&mut self) {
        let channels = [Channel::Chat, Channel::Email, Channel::WebForm, Channel::Sms];
        let channel = self.caller.rng.pick(&channels).copied().unwrap_or(Channel::Email);
        let french = self.caller.rng.chance(1_500);
        let skill = SkillRequirement { skill: "french".into(), min_level: 2 };
        let request = intake::CreateTicketRequest {
            workspace_id: self.caller.workspace(),
            request_id: self.caller.fresh_id(),
            channel: channel.into(),
            requester: Some(Requester { name: "Ada".into(), ..Default::default() }),
            subject: "Where is my parcel?".into(),
            body: "It should have come on Monday.".into(),
            priority: self.priority(),
            required_skills: if french { vec![skill] } else { Vec::new() },
            queue_id: if self.caller.rng.chance(1_500) { "french".into() } else { String::new() },
            ..Default::default()
        };
        self.last = Some(request.clone());
        if let Some(reply) = self.caller.call(request).await {
            self.know(reply.ticket_id, reply.revision, reply.position);
        }
    }

    fn know(&mut self, ticket: String, revision: u64, position: String) {
        {
            let mut told = self.caller.world.told();
            let key = (Arc::clone(&self.caller.workspace), ticket.clone());
            let known = told.revisions.entry(key).or_default();
            *known = revision.max(*known);
        }
        match self.mine.iter_mut().find(|mine| mine.ticket == ticket) {
            Some(mine) if mine.revision < revision => {
                (mine.revision, mine.position) = (revision, position);
            }
            Some(_) => {}
            None => self.mine.push(Mine { ticket, revision, position }),
        }
    }

    async fn customer_writes(&mut self, mine: Mine) {
        let request = intake::AddMessageRequest {
            workspace_id: self.caller.workspace(),
            ticket_id: mine.ticket,
            author_kind: AuthorKind::EndUser.into(),
            visibility: Visibility::Public.into(),
            body: "Any news?".into(),
            ..Default::default()
        };
        if let Some(reply) = self.caller.call(request).await {
            self.know(reply.ticket_id, reply.revision, reply.position);
        }
    }

    async fn prioritise(&mut self, mine: Mine) {
        let request = intake::UpdateTicketRequest {
            workspace_id: self.caller.workspace(),
            ticket_id: mine.ticket.clone(),
            update_mask: Some(FieldMask { paths: vec!["priority".into()] }),
            priority: self.priority(),
            ..Default::default()
        };
        if let Some(reply) = self.caller.call(request).await {
            self.know(mine.ticket, reply.revision, reply.position);
        }
    }

    async fn wait(&mut self, mine: Mine) {
        let on_hold = self.caller.rng.chance(3_000);
        let status = if on_hold { TicketStatus::OnHold } else { TicketStatus::Pending };
        let request = intake::SetWaitingRequest {
            workspace_id: self.caller.workspace(),
            ticket_id: mine.ticket.clone(),
            status: status.into(),
            ..Default::default()
        };
        if let Some(reply) = self.caller.call(request).await {
            self.know(mine.ticket, reply.revision, reply.position);
        }
    }

    async fn resume(&mut self, mine: Mine) {
        let request = intake::ResumeRequest {
            workspace_id: self.caller.workspace(),
            ticket_id: mine.ticket.clone(),
            ..Default::default()
        };
        if let Some(reply) = self.caller.call(request).await {
            self.know(mine.ticket, reply.revision, reply.position);
        }
    }

    async fn resolve(&mut self, mine: Mine) {
        let request = intake::ResolveTicketRequest {
            workspace_id: self.caller.workspace(),
            ticket_id: mine.ticket.clone(),
            ..Default::default()
        };
        if let Some(reply) = self.caller.call(request).await {
            self.know(mine.ticket, reply.revision, reply.position);
        }
    }

    async fn reopen(&mut self, mine: Mine) {
        let request = intake::ReopenTicketRequest {
            workspace_id: self.caller.workspace(),
            ticket_id: mine.ticket.clone(),
            ..Default::default()
        };
        if let Some(reply) = self.caller.call(request).await {
            self.know(mine.ticket, reply.revision, reply.position);
        }
    }

    async fn close(&mut self, mine: Mine) {
        let request = intake::CloseTicketRequest {
            workspace_id: self.caller.workspace(),
            ticket_id: mine.ticket.clone(),
            ..Default::default()
        };
        if let Some(reply) = self.caller.call(request).await {
            self.know(mine.ticket, reply.revision, reply.position);
        }
    }

    async fn transfer(&mut self, mine: Mine) {
        use routing::transfer_ticket_request::To;
        let to = match self.caller.rng.range(0..3) {
            0 => To::AgentId(agent_id(self.caller.rng.range(0..AGENTS))),
            1 => To::QueueId("french".into()),
            _ => To::Skill(SkillRequirement { skill: "french".into(), min_level: 1 }),
        };
        let request = routing::TransferTicketRequest {
            workspace_id: self.caller.workspace(),
            ticket_id: mine.ticket,
            to: Some(to),
            ..Default::default()
        };
        self.caller.call(request).await;
    }

    async fn assign(&mut self, mine: Mine) {
        let request = routing::AssignTicketRequest {
            workspace_id: self.caller.workspace(),
            ticket_id: mine.ticket,
            agent_id: agent_id(self.caller.rng.range(0..AGENTS)),
            reason: "asked for".into(),
            ..Default::default()
        };
        self.caller.call(request).await;
    }

    async fn resettle(&mut self) {
        let number = self.caller.rng.range(0..AGENTS);
        let capacity = i32::try_from(self.caller.rng.range(25..130)).unwrap_or(100);
        let request = routing::PutAgentRequest {
            workspace_id: self.caller.workspace(),
            agent: Some(agent(number, capacity)),
            ..Default::default()
        };
        self.caller.call(request).await;
    }

    async fn change_policy(&mut self) {
        let first_reply_s = i64::try_from(self.caller.rng.range(3..12)).unwrap_or(6);
        self.caller.call(policy(self.caller.workspace(), first_reply_s)).await;
    }

    /// Asks for the same once more, as a client does that forgot the answer.
    async fn repeat(&mut self) {
        if let Some(request) = self.last.clone() {
            self.caller.call(request).await;
        }
    }

    /// Uses a request id twice for different contents: only one of them may be done.
    async fn reuse_id(&mut self) {
        let Some(last) = self.last.clone() else { return };
        let request = intake::CreateTicketRequest { subject: "Something else".into(), ..last };
        self.caller.call(request).await;
    }

    /// What must be refused, and change nothing.
    async fn nonsense(&mut self) {
        let request = intake::AddMessageRequest {
            workspace_id: self.caller.workspace(),
            ticket_id: if self.caller.rng.chance(5_000) { "nobody".into() } else { "\n".into() },
            body: String::new(),
            ..Default::default()
        };
        if self.caller.call(request).await.is_some() {
            self.caller.world.violation("I2: nonsense was accepted");
        }
    }

    /// Reads what has been written (I8): what it knows of itself where it names its position, and else what anybody was
    /// told before.
    async fn look(&mut self, mine: Mine) {
        let world = Arc::clone(&self.caller.world);
        world.count_operation("GetTicket");
        let Some(slot) = world.seats.any::<IntakeService>(&mut self.caller.rng) else { return };
        let mut head = self.caller.head();
        let key = (Arc::clone(&self.caller.workspace), mine.ticket.clone());
        let mut least = world.told().revisions.get(&key).copied().unwrap_or(0);
        if self.caller.rng.chance(5_000) {
            least = least.max(mine.revision);
            head = Head { position: mine.position, ..head };
        }
        let request = intake::GetTicketRequest {
            workspace_id: self.caller.workspace(),
            by: Some(By::TicketId(mine.ticket.clone())),
        };
        let mut client = IntakeServiceClient::new(slot.door);
        let found = match in_time(client.get_ticket(head.on(request))).await {
            Ok(answer) => answer.into_inner().ticket.map_or(0, |ticket| ticket.revision),
            Err(status) if status.code() == tonic::Code::NotFound => 0,
            Err(_) => return,
        };
        world.trace(&[b"look", mine.ticket.as_bytes(), &found.to_le_bytes()]);
        if found < least {
            let ticket = mine.ticket;
            world.violation(format!("I8: {ticket} is at {found} and was acknowledged at {least}"));
        }
    }
}
