//! A server on a manual clock with a ticket, two agents and a queue; and how a refusal is checked.

use std::future::Future;

use anyhow::{Context as _, ensure};
use prost_types::Duration;
use runtime::ServiceId;
use tests::api::{Api, new_id, reason_of};
use tests::call;
use tests::stack::Stack;
use tests::story::put_agent;
use tonic::{Code, Request, Response, Status};
use tonic_types::StatusExt as _;
use wire::admin::v1::AdvanceToRequest;
use wire::common::v1::Channel;
use wire::events::v1 as events;
use wire::intake::v1 as intake;
use wire::routing::v1 as routing;

/// The workspace of the cases.
pub(crate) const WORKSPACE: &str = "bad";
/// The ticket that is there.
pub(crate) const TICKET: &str = "t-1";

/// A running server and its client.
#[derive(Debug)]
pub(crate) struct Rig {
    pub(crate) api: Api,
    pub(crate) stack: Stack,
}

/// What a refusal must be.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Refusal<'a> {
    pub(crate) code: Code,
    pub(crate) reason: &'a str,
    pub(crate) fields: &'a [&'a str],
}

/// `INVALID_ARGUMENT` for these fields.
pub(crate) fn invalid<'a>(fields: &'a [&'a str]) -> Refusal<'a> {
    Refusal { code: Code::InvalidArgument, reason: "INVALID_FIELD", fields }
}

/// Another code and reason, of no field.
pub(crate) fn refusal(code: Code, reason: &str) -> Refusal<'_> {
    Refusal { code, reason, fields: &[] }
}

/// Checks a call's refusal: `refused!(rig, intake.create_ticket, request, expected)`.
macro_rules! refused {
    ($rig:expr, $service:ident . $method:ident, $message:expr, $expected:expr) => {
        $rig.refused(stringify!($method), $message, $expected, |request| {
            let mut client = $rig.api.$service.clone();
            async move { client.$method(request).await }
        })
        .await?
    };
}
pub(crate) use refused;

impl Rig {
    /// Starts it. Time stands still, so nothing happens but what the cases cause.
    pub(crate) async fn start() -> anyhow::Result<Self> {
        let arguments = ["--dev", "--clock", "manual", "--now", "2026-01-05T09:00:00Z"];
        let stack = Stack::up(&arguments).await?;
        let api = stack.api()?;
        let put = intake::PutWorkspaceRequest {
            workspace: Some(intake::Workspace {
                workspace_id: WORKSPACE.to_owned(),
                ..Default::default()
            }),
            ..Default::default()
        };
        call!(api, intake.put_workspace, put).await?;
        for agent in ["ada", "bob"] {
            put_agent(&api, WORKSPACE, agent, &["all"], 100).await?;
        }
        call!(api, intake.create_ticket, create()).await?;
        let rig = Self { api, stack };
        rig.api.rest().await?;
        Ok(rig)
    }

    /// Calls and checks the refusal, and that no service has one event or remembered request more.
    pub(crate) async fn refused<M, R, F>(
        &self,
        name: &str,
        message: M,
        expected: Refusal<'_>,
        call: impl FnOnce(Request<M>) -> F,
    ) -> anyhow::Result<Status>
    where
        R: std::fmt::Debug,
        F: Future<Output = Result<Response<R>, Status>>,
    {
        let before = self.totals().await?;
        let answered = call(self.api.request(message)).await;
        let Err(status) = answered else { anyhow::bail!("{name} was served: {answered:?}") };
        check(&status, expected).with_context(|| format!("{name}: {status:?}"))?;
        let after = self.totals().await?;
        ensure!(before == after, "{name} was refused and changed something: {before:?} {after:?}");
        Ok(status)
    }

    /// Events and remembered requests of each partition of each service.
    pub(crate) async fn totals(&self) -> anyhow::Result<Vec<(u64, u64)>> {
        let mut totals = Vec::new();
        for service in ServiceId::ALL {
            let partitions = self.api.status(service).await?;
            totals
                .extend(partitions.iter().map(|partition| (partition.events, partition.requests)));
        }
        Ok(totals)
    }

    /// The offer of [`TICKET`] that stands.
    pub(crate) async fn offer(&self) -> anyhow::Result<routing::Offer> {
        let list =
            routing::ListAgentsRequest { workspace_id: WORKSPACE.to_owned(), ..Default::default() };
        let agents = call!(self.api, routing.list_agents, list).await?.agents;
        let mut offers = agents.into_iter().flat_map(|agent| agent.offers);
        offers.next().context("there is no offer")
    }

    /// Moves the clock.
    pub(crate) async fn advance(&self, seconds: i64) -> anyhow::Result<()> {
        let mut clock = self.api.clock(ServiceId::Intake);
        let now =
            clock.get_time(wire::admin::v1::GetTimeRequest::default()).await?.into_inner().now;
        let mut instant = now.context("no time")?;
        instant.seconds += seconds;
        clock.advance_to(AdvanceToRequest { instant: Some(instant) }).await?;
        self.api.rest().await
    }
}

/// Checks a status: code, reason, domain, and exactly these fields.
pub(crate) fn check(status: &Status, expected: Refusal<'_>) -> anyhow::Result<()> {
    let details = status.get_error_details();
    let info = details.error_info().context("no ErrorInfo")?;
    ensure!(info.domain == "switchyard", "domain {}", info.domain);
    ensure!(
        (status.code(), reason_of(status).as_str()) == (expected.code, expected.reason),
        "not {:?} {}",
        expected.code,
        expected.reason
    );
    let violations = details.bad_request().map(|bad| bad.field_violations.as_slice());
    let mut named: Vec<_> =
        violations.unwrap_or_default().iter().map(|field| field.field.as_str()).collect();
    named.sort_unstable();
    let mut wanted = expected.fields.to_vec();
    wanted.sort_unstable();
    ensure!(named == wanted, "fields {named:?}, not {wanted:?}");
    let retry = matches!(expected.code, Code::Unavailable | Code::ResourceExhausted);
    ensure!(details.retry_info().is_some() == retry, "RetryInfo: {:?}", details.retry_info());
    Ok(())
}

/// A good request for a chat.
pub(crate) fn create() -> intake::CreateTicketRequest {
    intake::CreateTicketRequest {
        workspace_id: WORKSPACE.to_owned(),
        request_id: new_id(),
        ticket_id: TICKET.to_owned(),
        channel: Channel::Chat.into(),
        subject: "Good".to_owned(),
        body: "Good".to_owned(),
        ..Default::default()
    }
}

/// A good message of an agent.
pub(crate) fn message() -> intake::AddMessageRequest {
    intake::AddMessageRequest {
        workspace_id: WORKSPACE.to_owned(),
        request_id: new_id(),
        ticket_id: TICKET.to_owned(),
        author_kind: events::AuthorKind::Agent.into(),
        author_id: "ada".to_owned(),
        visibility: events::Visibility::Public.into(),
        body: "Good".to_owned(),
        ..Default::default()
    }
}

/// A good agent.
pub(crate) fn agent() -> routing::PutAgentRequest {
    let agent = routing::Agent { agent_id: "new".to_owned(), ..Default::default() };
    routing::PutAgentRequest {
        workspace_id: WORKSPACE.to_owned(),
        agent: Some(agent),
        ..Default::default()
    }
}

/// A good presence.
pub(crate) fn presence(agent: &str) -> routing::SetPresenceRequest {
    routing::SetPresenceRequest {
        workspace_id: WORKSPACE.to_owned(),
        agent_id: agent.to_owned(),
        presence: events::Presence::Away.into(),
        lease: Some(Duration::default()),
        ..Default::default()
    }
}
