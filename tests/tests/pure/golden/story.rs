//! What happens on the stage: in the end every type of event stands in a log. Type and version, not every shade of it:
//! the codecs' own tests know those.

use anyhow::{Context as _, Result};
use intake::command::{AddMessage, CreateTicket, Move, PutWorkspace, Step, UpdateTicket};
use intake::event::{AuthorKind, Requester, Visibility};
use kernel::{
    AgentId, AttributeValue, Channel, EndpointId, MessageId, PolicyId, Priority, QueueId,
    RequesterId, RuleId, SkillId, SkillLevel, SkillRequirement, TicketId, Timestamp,
};
use notify::{
    Address, Cause, Observation, Observe, PutEndpoint, PutRule, Recipient, SealedSecret, Shapes,
    Way,
};
use routing::event::{AgentSettings, QueueSettings};
use routing::rules::{Rule, TICKET};
use routing::state::offer_id;
use routing::words::{OfferMode, Presence, WorkOutcome};
use routing::{Command as Route, Destination};
use runtime::ServiceId;
use sla::{Metric, PolicyDraft};

use crate::golden::stage::{Stage, WORKSPACE};

const ADA: &str = "ada";
const BOB: &str = "bob";

/// Longer than a target, a cooldown or a lease of this story.
const LONG: u64 = 15 * 60;

/// Tells all of it.
pub(crate) async fn tell(stage: &Stage) -> Result<()> {
    settle(stage).await.context("settling")?;
    work(stage).await.context("work")?;
    missed(stage).await.context("what is missed")?;
    late(stage).await.context("what comes late")?;
    awaited(stage).await.context("what is awaited")
}

async fn settle(stage: &Stage) -> Result<()> {
    let put = PutWorkspace {
        display_name: "Acme".into(),
        default_priority: Some(Priority::P3),
        expected: None,
    };
    stage.ask(&stage.intake, intake::Command::PutWorkspace(put)).await?;
    put_policy(stage, 10).await?;
    let queue = QueueSettings {
        display_name: "Networks".into(),
        order: 1,
        filter: Some(Rule::compile("\"router\" in ticket.tags", TICKET)?),
        required_skills: vec![skill(2)],
        offer_mode: OfferMode::Manual,
        accept_within_ms: 30_000,
    };
    let put = Route::PutQueue { queue: networks(), settings: queue, expected_revision: 0 };
    stage.ask(&stage.routing, put).await?;
    let put = PutEndpoint {
        endpoint: EndpointId::trusted("hook"),
        url: Address::new("https://example.com/hook"),
        secret: None,
        fresh: SealedSecret { key_id: "golden".into(), sealed: b"no secrets".to_vec() },
        disabled: false,
        at_most_once: false,
        expected_revision: 0,
    };
    stage.ask(&stage.notify, notify::Command::PutEndpoint(put)).await?;
    let hook = Way::Webhook(EndpointId::trusted("hook"));
    put_rule(stage, "hook", &["TicketOpened"], hook).await?;
    let desk = Way::InApp(vec![Recipient::All]);
    put_rule(stage, "desk", &["OfferMade", "TicketQueued"], desk).await?;
    present(stage, ADA, 0).await?;
    present(stage, BOB, 45_000).await
}

async fn put_policy(stage: &Stage, minutes: u64) -> Result<()> {
    let target = |metric| ((metric, Priority::P2), minutes * 60_000);
    let policy = PolicyDraft {
        policy: PolicyId::trusted("fast"),
        display_name: "Fast".into(),
        order: 0,
        filter: None,
        targets: Metric::ALL.into_iter().map(target).collect(),
        warn_at_permille: vec![500],
    };
    let put = sla::Command::PutPolicy { policy: Box::new(policy), expected_revision: None };
    stage.ask(&stage.sla, put).await
}

async fn put_rule(stage: &Stage, rule: &str, event_types: &[&str], way: Way) -> Result<()> {
    let put = PutRule {
        rule: RuleId::trusted(rule),
        event_types: event_types.iter().map(|&name| name.to_owned()).collect(),
        filter: None,
        way,
        template: "{{ ticket.number }}".into(),
        disabled: false,
        expected_revision: 0,
        fields: Shapes::new(),
    };
    stage.ask(&stage.notify, notify::Command::PutRule(put)).await
}

/// Makes an agent who is there, for as long as the lease says; 0: until changed.
async fn present(stage: &Stage, name: &str, lease_ms: u64) -> Result<()> {
    let settings = AgentSettings {
        display_name: name.to_uppercase(),
        skills: vec![(SkillId::trusted("networks"), level(3))],
        queues: Vec::new(),
        capacity_units: 60,
    };
    let put = Route::PutAgent { agent: agent(name), settings, expected_revision: 0 };
    stage.ask(&stage.routing, put).await?;
    set_presence(stage, name, Presence::Available, lease_ms).await
}

async fn set_presence(stage: &Stage, name: &str, presence: Presence, lease_ms: u64) -> Result<()> {
    let set = Route::SetPresence { agent: agent(name), presence, lease_ms };
    stage.ask(&stage.routing, set).await
}

/// A ticket that is declined, taken, talked about, changed, handed over, and in the end reopened.
async fn work(stage: &Stage) -> Result<()> {
    open(stage, "t1").await?;
    let (declined, by) = offer(stage, "t1").await?;
    let decline =
        Route::DeclineOffer { agent: by.clone(), offer: declined, reason: "lunch".into() };
    stage.ask(&stage.routing, decline).await?;
    let (accepted, owner) = offer(stage, "t1").await?;
    anyhow::ensure!(owner != by, "it was offered again to who had declined");
    stage.ask(&stage.routing, Route::AcceptOffer { agent: owner.clone(), offer: accepted }).await?;
    say(stage, "t1", AuthorKind::Agent, None).await?;
    complete(stage, "t1", &owner, WorkOutcome::Pending).await?;
    say(stage, "t1", AuthorKind::EndUser, None).await?;
    update(stage, "t1").await?;
    step(stage, "t1", Step::AwaitOthers).await?;
    step(stage, "t1", Step::Resume).await?;
    let to = Destination::Queue(QueueId::trusted("default"));
    let note = "for the others".to_owned();
    let transfer = Route::TransferTicket { ticket: ticket("t1"), from: Some(owner), to, note };
    stage.ask(&stage.routing, transfer).await?;
    let assign =
        Route::AssignTicket { ticket: ticket("t1"), agent: agent(ADA), reason: "by hand".into() };
    stage.ask(&stage.routing, assign).await?;
    complete(stage, "t1", &agent(ADA), WorkOutcome::Resolved).await?;
    step(stage, "t1", Step::Reopen).await?;
    step(stage, "t1", Step::Close).await
}

/// An offer and a lease that nobody cares for, and one that is taken back.
async fn missed(stage: &Stage) -> Result<()> {
    open(stage, "t2").await?;
    stage.pass(LONG).await;
    set_presence(stage, ADA, Presence::Away, 0).await?;
    set_presence(stage, ADA, Presence::Available, 0).await?;
    open(stage, "t3").await?;
    offer(stage, "t3").await?;
    step(stage, "t3", Step::Close).await?;
    step(stage, "t2", Step::Close).await
}

/// A reply after its time, one that was given in time and heard of later, and other promises meanwhile.
async fn late(stage: &Stage) -> Result<()> {
    open(stage, "t4").await?;
    open(stage, "t5").await?;
    let in_time = stage.intake.clock().now();
    put_policy(stage, 12).await?;
    stage.pass(LONG).await;
    say(stage, "t4", AuthorKind::Agent, None).await?;
    say(stage, "t5", AuthorKind::Agent, Some(in_time)).await
}

/// Notify hears of an offer before it knows the ticket: as the reaction to one asks it, since the order of two logs is
/// nobody's.
async fn awaited(stage: &Stage) -> Result<()> {
    let cause =
        Cause { service: ServiceId::Routing.number(), partition: 0, seq: 1_000_000, index: 0 };
    let observation = Observation {
        cause,
        event_type: "OfferMade".into(),
        at: stage.notify.clock().now(),
        fields: [("agent_id".to_owned(), ADA.into())].into(),
    };
    let observe = Observe { ticket: Some(ticket("t6")), change: None, observation };
    stage.ask(&stage.notify, notify::Command::Observe(observe)).await?;
    open(stage, "t6").await?;
    stage.pass(LONG).await;
    Ok(())
}

async fn open(stage: &Stage, id: &str) -> Result<()> {
    let create = CreateTicket {
        ticket: ticket(id),
        message: MessageId::trusted(&format!("{id}-0")),
        external_id: Some(format!("call {id}").into()),
        channel: Channel::Email,
        provider: "post".into(),
        requester: Requester {
            id: RequesterId::trusted("rita"),
            name: "Rita".into(),
            addresses: ["rita@example.com".into()].into(),
            locale: "de-AT".into(),
        },
        subject: "The router is dead".into(),
        body: "Nothing blinks.".into(),
        priority: Some(Priority::P2),
        kind: "incident".into(),
        tags: vec!["router".into()],
        attributes: [("flat".to_owned(), AttributeValue::Integer(9))].into(),
        required_skills: [skill(1)].into(),
        queue: None,
        occurred_at: None,
    };
    stage.ask(&stage.intake, intake::Command::CreateTicket(Box::new(create))).await
}

async fn say(
    stage: &Stage,
    id: &str,
    author_kind: AuthorKind,
    occurred_at: Option<Timestamp>,
) -> Result<()> {
    let message = stage.intake.clock().unique_id().to_string();
    let add = AddMessage {
        ticket: ticket(id),
        follow_up: ticket(&format!("{id}-again")),
        message: MessageId::trusted(&message),
        author_kind,
        author: if author_kind == AuthorKind::Agent { ADA.into() } else { "".into() },
        visibility: Visibility::Public,
        body: "Is it plugged in?".into(),
        occurred_at,
        expected: None,
    };
    stage.ask(&stage.intake, intake::Command::AddMessage(Box::new(add))).await
}

async fn update(stage: &Stage, id: &str) -> Result<()> {
    let update = UpdateTicket {
        ticket: ticket(id),
        priority: Some(Priority::P1),
        kind: Some("outage".into()),
        tags: Some(vec!["router".into(), "storm".into()]),
        attributes: None,
        expected: None,
    };
    stage.ask(&stage.intake, intake::Command::UpdateTicket(Box::new(update))).await
}

async fn step(stage: &Stage, id: &str, step: Step) -> Result<()> {
    let reason = "as the story goes".into();
    let wish = Move { ticket: ticket(id), step, reason, expected: None, occurred_at: None };
    stage.ask(&stage.intake, intake::Command::Move(wish)).await
}

async fn complete(stage: &Stage, id: &str, owner: &AgentId, outcome: WorkOutcome) -> Result<()> {
    let (agent, note) = (owner.clone(), "done so far".to_owned());
    let complete = Route::CompleteWork { agent, ticket: ticket(id), outcome, note };
    stage.ask(&stage.routing, complete).await
}

/// The ticket's live offer, and whom it is made to.
async fn offer(stage: &Stage, id: &str) -> Result<(kernel::OfferId, AgentId)> {
    let wanted = ticket(id);
    let found = stage.routing.read(WORKSPACE, move |state| {
        let workspace = state.workspace(&kernel::WorkspaceId::trusted(WORKSPACE))?;
        let offers = &mut workspace.offers().iter();
        let (number, offer) = offers.find(|(_, offer)| offer.ticket == wanted)?;
        Some((offer_id(*number), offer.agent.clone()))
    });
    let found = found.await.map_err(|failure| anyhow::anyhow!("{failure:?}"))?;
    found.with_context(|| format!("{id} is not offered"))
}

fn ticket(id: &str) -> TicketId {
    TicketId::trusted(id)
}

fn agent(name: &str) -> AgentId {
    AgentId::trusted(name)
}

fn networks() -> QueueId {
    QueueId::trusted("networks")
}

#[expect(clippy::expect_used, reason = "what surrounds a test fails like the test itself")]
fn level(level: u32) -> SkillLevel {
    SkillLevel::new(level).expect("the levels of this story are 1 to 5")
}

fn skill(min_level: u32) -> SkillRequirement {
    SkillRequirement { skill: SkillId::trusted("networks"), min_level: level(min_level) }
}
