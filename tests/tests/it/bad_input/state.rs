//! Good requests that what is there doesn't allow.

use anyhow::ensure;
use tests::api::new_id;
use tests::call;
use tonic::Code;
use wire::common::v1::Priority;
use wire::events::v1 as events;
use wire::intake::v1 as intake;
use wire::intake::v1::get_ticket_request::By;
use wire::notify::v1 as notify;
use wire::routing::v1 as routing;
use wire::sla::v1 as sla;

use crate::bad_input::rig::{
    Rig, TICKET, WORKSPACE, agent, create, message, presence, refusal, refused,
};

#[tokio::test(flavor = "multi_thread")]
async fn what_is_not_there() -> anyhow::Result<()> {
    let rig = Rig::start().await?;
    let nowhere = || "nowhere".to_owned();
    let of_workspace = refusal(Code::NotFound, "WORKSPACE_NOT_FOUND");
    let request = intake::CreateTicketRequest { workspace_id: nowhere(), ..create() };
    refused!(rig, intake.create_ticket, request, of_workspace);
    let request = intake::GetWorkspaceRequest { workspace_id: nowhere() };
    refused!(rig, intake.get_workspace, request, of_workspace);
    refused!(
        rig,
        routing.put_agent,
        routing::PutAgentRequest { workspace_id: nowhere(), ..agent() },
        of_workspace
    );
    let policy = sla::Policy { policy_id: "p".to_owned(), ..Default::default() };
    let request = sla::PutPolicyRequest {
        workspace_id: nowhere(),
        policy: Some(policy),
        ..Default::default()
    };
    refused!(rig, sla.put_policy, request, of_workspace);
    let endpoint = notify::Endpoint {
        endpoint_id: "e".to_owned(),
        url: "https://example.org/".to_owned(),
        ..Default::default()
    };
    let request = notify::PutEndpointRequest {
        workspace_id: nowhere(),
        endpoint: Some(endpoint),
        ..Default::default()
    };
    refused!(rig, notify.put_endpoint, request, of_workspace);

    let of_ticket = refusal(Code::NotFound, "TICKET_NOT_FOUND");
    let request = intake::AddMessageRequest { ticket_id: nowhere(), ..message() };
    refused!(rig, intake.add_message, request, of_ticket);
    for by in [By::TicketId(nowhere()), By::Number(99), By::ExternalId(nowhere())] {
        let request = intake::GetTicketRequest { workspace_id: WORKSPACE.to_owned(), by: Some(by) };
        refused!(rig, intake.get_ticket, request, of_ticket);
    }
    let request =
        sla::GetClocksRequest { workspace_id: WORKSPACE.to_owned(), ticket_id: nowhere() };
    refused!(rig, sla.get_clocks, request, of_ticket);

    let of_agent = refusal(Code::NotFound, "AGENT_NOT_FOUND");
    refused!(rig, routing.set_presence, presence("nobody"), of_agent);
    let request = routing::GetAgentRequest {
        workspace_id: WORKSPACE.to_owned(),
        agent_id: "nobody".to_owned(),
    };
    refused!(rig, routing.get_agent, request, of_agent);
    rig.stack.stop().await
}

#[tokio::test(flavor = "multi_thread")]
async fn what_was_said_already_or_has_changed() -> anyhow::Result<()> {
    let rig = Rig::start().await?;
    let of_id = refusal(Code::AlreadyExists, "TICKET_EXISTS");
    refused!(rig, intake.create_ticket, create(), of_id);
    let first = intake::CreateTicketRequest {
        ticket_id: String::new(),
        external_id: "mine".to_owned(),
        ..create()
    };
    let reply = call!(rig.api, intake.create_ticket, first.clone()).await?;
    rig.api.rest().await?;
    let other = intake::CreateTicketRequest { request_id: new_id(), ..first.clone() };
    let of_external_id = refusal(Code::AlreadyExists, "EXTERNAL_ID_EXISTS");
    refused!(rig, intake.create_ticket, other, of_external_id);
    let other = intake::CreateTicketRequest { subject: "Another".to_owned(), ..first.clone() };
    let of_request = refusal(Code::AlreadyExists, "REQUEST_ID_REUSED");
    refused!(rig, intake.create_ticket, other, of_request);
    let again = call!(rig.api, intake.create_ticket, first).await?;
    ensure!(again == reply, "{again:?} is not {reply:?}");

    let update = intake::UpdateTicketRequest {
        workspace_id: WORKSPACE.to_owned(),
        ticket_id: TICKET.to_owned(),
        update_mask: Some(prost_types::FieldMask { paths: vec!["priority".to_owned()] }),
        priority: Priority::P1.into(),
        expected_revision: 99,
        ..Default::default()
    };
    let of_revision = refusal(Code::Aborted, "REVISION_MISMATCH");
    refused!(rig, intake.update_ticket, update, of_revision);
    let said = intake::AddMessageRequest { expected_revision: 99, ..message() };
    refused!(rig, intake.add_message, said, of_revision);
    let put = routing::PutAgentRequest { expected_revision: 7, ..agent() };
    refused!(rig, routing.put_agent, put, of_revision);
    rig.stack.stop().await
}

#[tokio::test(flavor = "multi_thread")]
async fn offers_of_others_and_of_the_past() -> anyhow::Result<()> {
    let rig = Rig::start().await?;
    let offer = rig.offer().await?;
    let accept = |agent: &str, offer: &str| routing::AcceptOfferRequest {
        workspace_id: WORKSPACE.to_owned(),
        request_id: new_id(),
        agent_id: agent.to_owned(),
        offer_id: offer.to_owned(),
    };
    let other = if offer.agent_id == "ada" { "bob" } else { "ada" };
    let of_another = refusal(Code::PermissionDenied, "OFFER_OF_ANOTHER_AGENT");
    refused!(rig, routing.accept_offer, accept(other, &offer.offer_id), of_another);
    let of_none = refusal(Code::NotFound, "OFFER_NOT_FOUND");
    refused!(rig, routing.accept_offer, accept(other, "o-999"), of_none);
    let complete = routing::CompleteWorkRequest {
        workspace_id: WORKSPACE.to_owned(),
        agent_id: offer.agent_id.clone(),
        ticket_id: TICKET.to_owned(),
        outcome: events::WorkOutcome::Resolved.into(),
        ..Default::default()
    };
    // An offer is no ownership.
    refused!(
        rig,
        routing.complete_work,
        complete,
        refusal(Code::FailedPrecondition, "NOT_THE_OWNER")
    );

    rig.advance(31).await?;
    let late = refusal(Code::FailedPrecondition, "OFFER_EXPIRED");
    refused!(rig, routing.accept_offer, accept(&offer.agent_id, &offer.offer_id), late);
    // The other agent's turn; what was taken can't be declined.
    let next = rig.offer().await?;
    ensure!(next.agent_id == other, "offered again to the one who missed it: {next:?}");
    call!(rig.api, routing.accept_offer, accept(other, &next.offer_id)).await?;
    rig.api.rest().await?;
    let decline = routing::DeclineOfferRequest {
        workspace_id: WORKSPACE.to_owned(),
        agent_id: other.to_owned(),
        offer_id: next.offer_id.clone(),
        ..Default::default()
    };
    let over = refusal(Code::FailedPrecondition, "OFFER_NOT_LIVE");
    refused!(rig, routing.decline_offer, decline, over);
    rig.stack.stop().await
}

#[tokio::test(flavor = "multi_thread")]
async fn a_closed_ticket() -> anyhow::Result<()> {
    let rig = Rig::start().await?;
    let close = intake::CloseTicketRequest {
        workspace_id: WORKSPACE.to_owned(),
        ticket_id: TICKET.to_owned(),
        ..Default::default()
    };
    call!(rig.api, intake.close_ticket, close).await?;
    rig.api.rest().await?;
    let closed = refusal(Code::FailedPrecondition, "TICKET_CLOSED");
    refused!(rig, intake.add_message, message(), closed);
    let wait = intake::SetWaitingRequest {
        workspace_id: WORKSPACE.to_owned(),
        ticket_id: TICKET.to_owned(),
        status: wire::common::v1::TicketStatus::Pending.into(),
        ..Default::default()
    };
    refused!(rig, intake.set_waiting, wait, closed);
    let resolve = intake::ResolveTicketRequest {
        workspace_id: WORKSPACE.to_owned(),
        ticket_id: TICKET.to_owned(),
        ..Default::default()
    };
    refused!(rig, intake.resolve_ticket, resolve, closed);
    rig.advance(7 * 24 * 3600 + 1).await?;
    let reopen = intake::ReopenTicketRequest {
        workspace_id: WORKSPACE.to_owned(),
        ticket_id: TICKET.to_owned(),
        ..Default::default()
    };
    refused!(
        rig,
        intake.reopen_ticket,
        reopen,
        refusal(Code::FailedPrecondition, "REOPEN_WINDOW_OVER")
    );
    rig.stack.stop().await
}
