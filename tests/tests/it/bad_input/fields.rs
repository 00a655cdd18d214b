//! Requests whose fields can't be used.

use tests::api::new_id;
use tonic::Code;
use wire::common::v1::{SkillRequirement, TicketStatus};
use wire::events::v1 as events;
use wire::intake::v1 as intake;
use wire::notify::v1 as notify;
use wire::routing::v1 as routing;
use wire::sla::v1 as sla;

use crate::bad_input::rig::{
    Rig, TICKET, WORKSPACE, agent, create, invalid, message, presence, refusal, refused,
};

fn request(change: impl FnOnce(&mut intake::CreateTicketRequest)) -> intake::CreateTicketRequest {
    let mut request = intake::CreateTicketRequest { ticket_id: String::new(), ..create() };
    change(&mut request);
    request
}

#[tokio::test(flavor = "multi_thread")]
async fn ids_that_are_not_plain() -> anyhow::Result<()> {
    let rig = Rig::start().await?;
    let long = "x".repeat(65);
    for bad in ["a b", "a.b", "a*", ">", "ä", "a\u{7}", &long] {
        let id = || bad.to_owned();
        refused!(
            rig,
            intake.create_ticket,
            request(|r| r.workspace_id = id()),
            invalid(&["workspace_id"])
        );
        refused!(
            rig,
            intake.create_ticket,
            request(|r| r.ticket_id = id()),
            invalid(&["ticket_id"])
        );
        refused!(rig, intake.create_ticket, request(|r| r.queue_id = id()), invalid(&["queue_id"]));
        let mut put = agent();
        put.agent.as_mut().unwrap().agent_id = id();
        refused!(rig, routing.put_agent, put, invalid(&["agent.agent_id"]));
        let get = sla::GetClocksRequest { workspace_id: WORKSPACE.to_owned(), ticket_id: id() };
        refused!(rig, sla.get_clocks, get, invalid(&["ticket_id"]));
        let list = notify::ListDeliveriesRequest { workspace_id: id(), ..Default::default() };
        refused!(rig, notify.list_deliveries, list, invalid(&["workspace_id"]));
    }
    refused!(
        rig,
        intake.create_ticket,
        request(|r| r.workspace_id.clear()),
        invalid(&["workspace_id"])
    );
    let long = "x".repeat(65);
    refused!(rig, intake.create_ticket, request(|r| r.request_id = long), invalid(&["request_id"]));
    rig.stack.stop().await
}

#[tokio::test(flavor = "multi_thread")]
async fn texts_that_are_empty_too_long_or_have_control_characters() -> anyhow::Result<()> {
    let rig = Rig::start().await?;
    let long = "x".repeat(64 * 1024 + 1);
    for bad in ["", &"x".repeat(301), "two\nlines", "bell\u{7}", "\u{9b}31m"] {
        refused!(
            rig,
            intake.create_ticket,
            request(|r| r.subject = bad.to_owned()),
            invalid(&["subject"])
        );
    }
    for bad in ["", &long, "nul\0", "escape\u{1b}[31m", "delete\u{7f}"] {
        refused!(
            rig,
            intake.create_ticket,
            request(|r| r.body = bad.to_owned()),
            invalid(&["body"])
        );
        let said = intake::AddMessageRequest { body: bad.to_owned(), ..message() };
        refused!(rig, intake.add_message, said, invalid(&["body"]));
    }
    rig.stack.stop().await
}

#[tokio::test(flavor = "multi_thread")]
async fn numbers_outside_their_ranges() -> anyhow::Result<()> {
    let rig = Rig::start().await?;
    for channel in [0, 99, -1] {
        refused!(
            rig,
            intake.create_ticket,
            request(|r| r.channel = channel),
            invalid(&["channel"])
        );
    }
    refused!(rig, intake.create_ticket, request(|r| r.priority = 5), invalid(&["priority"]));
    for author_kind in [0, 9] {
        let said = intake::AddMessageRequest { author_kind, ..message() };
        refused!(rig, intake.add_message, said, invalid(&["author_kind"]));
    }
    let away = routing::SetPresenceRequest { presence: 77, ..presence("ada") };
    refused!(rig, routing.set_presence, away, invalid(&["presence"]));
    let wait = intake::SetWaitingRequest {
        workspace_id: WORKSPACE.to_owned(),
        ticket_id: TICKET.to_owned(),
        status: TicketStatus::Resolved.into(),
        ..Default::default()
    };
    refused!(rig, intake.set_waiting, wait, invalid(&["status"]));
    for level in [0, 6, u32::MAX] {
        let needs = vec![SkillRequirement { skill: "de".to_owned(), min_level: level }];
        let create = request(|r| r.required_skills = needs);
        refused!(rig, intake.create_ticket, create, invalid(&["required_skills[0].min_level"]));
        let mut put = agent();
        let skill = events::Skill { skill: "de".to_owned(), level };
        put.agent.as_mut().unwrap().skills = vec![skill];
        refused!(rig, routing.put_agent, put, invalid(&["agent.skills[0].level"]));
    }
    for capacity in [-1, i32::MIN, 1_000_001] {
        let mut put = agent();
        put.agent.as_mut().unwrap().capacity_units = Some(capacity);
        refused!(rig, routing.put_agent, put, invalid(&["agent.capacity_units"]));
    }
    rig.stack.stop().await
}

#[tokio::test(flavor = "multi_thread")]
async fn all_bad_fields_are_named_at_once() -> anyhow::Result<()> {
    let rig = Rig::start().await?;
    let bad = request(|r| {
        r.workspace_id = "a b".to_owned();
        r.subject.clear();
        r.body.clear();
        r.channel = 0;
        r.priority = 9;
    });
    let fields = ["workspace_id", "subject", "body", "channel", "priority"];
    refused!(rig, intake.create_ticket, bad, invalid(&fields));
    rig.stack.stop().await
}

#[tokio::test(flavor = "multi_thread")]
async fn page_sizes_and_tokens() -> anyhow::Result<()> {
    let rig = Rig::start().await?;
    let workspace_id = || WORKSPACE.to_owned();
    let tickets = |page_size, page_token: &str| intake::ListTicketsRequest {
        workspace_id: workspace_id(),
        page_size,
        page_token: page_token.to_owned(),
        ..Default::default()
    };
    let agents = |page_size, page_token: &str| routing::ListAgentsRequest {
        workspace_id: workspace_id(),
        page_size,
        page_token: page_token.to_owned(),
    };
    refused!(rig, intake.list_tickets, tickets(-1, ""), invalid(&["page_size"]));
    refused!(rig, routing.list_agents, agents(-1, ""), invalid(&["page_size"]));
    let policies = sla::ListPoliciesRequest {
        workspace_id: workspace_id(),
        page_size: -7,
        ..Default::default()
    };
    refused!(rig, sla.list_policies, policies, invalid(&["page_size"]));
    let deliveries = notify::ListDeliveriesRequest {
        workspace_id: workspace_id(),
        page_size: i32::MIN,
        ..Default::default()
    };
    refused!(rig, notify.list_deliveries, deliveries, invalid(&["page_size"]));

    let page =
        rig.api.routing.clone().list_agents(rig.api.request(agents(1, ""))).await?.into_inner();
    let token = page.next_page_token;
    anyhow::ensure!(!token.is_empty() && page.agents.len() == 1, "one agent of two a page");
    let of_token = refusal(Code::InvalidArgument, "PAGE_TOKEN_INVALID");
    for at in [0, token.len() / 2, token.len() - 1] {
        let mut tampered = token.clone().into_bytes();
        tampered[at] = if tampered[at] == b'A' { b'B' } else { b'A' };
        let tampered = String::from_utf8(tampered)?;
        refused_token(&rig, &agents(1, &tampered)).await?;
    }
    refused_token(&rig, &agents(1, "nonsense")).await?;
    refused_token(&rig, &agents(1, &token[..token.len() - 1])).await?;
    // A good token of another listing.
    let status = refused!(rig, intake.list_tickets, tickets(1, &token), with_token_field(of_token));
    anyhow::ensure!(!status.message().is_empty(), "no message");
    let next =
        rig.api.routing.clone().list_agents(rig.api.request(agents(1, &token))).await?.into_inner();
    anyhow::ensure!(
        next.agents.len() == 1 && next.next_page_token.is_empty(),
        "the last page: {next:?}"
    );
    rig.stack.stop().await
}

fn with_token_field(
    refusal: crate::bad_input::rig::Refusal<'_>,
) -> crate::bad_input::rig::Refusal<'_> {
    crate::bad_input::rig::Refusal { fields: &["page_token"], ..refusal }
}

async fn refused_token(rig: &Rig, list: &routing::ListAgentsRequest) -> anyhow::Result<()> {
    let expected = with_token_field(refusal(Code::InvalidArgument, "PAGE_TOKEN_INVALID"));
    refused!(rig, routing.list_agents, list.clone(), expected);
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn messages_and_headers_that_no_server_takes() -> anyhow::Result<()> {
    let rig = Rig::start().await?;
    let large = request(|r| r.body = "x".repeat(5 * 1024 * 1024));
    refused!(
        rig,
        intake.create_ticket,
        large,
        refusal(Code::ResourceExhausted, "MESSAGE_TOO_LARGE")
    );

    for position in ["nonsense", "intake.0.00.1", "intake.0"] {
        let get = intake::GetWorkspaceRequest { workspace_id: WORKSPACE.to_owned() };
        let expected = refusal(Code::InvalidArgument, "POSITION_INVALID");
        rig.refused("a bad position", get, expected, |mut request| {
            request.metadata_mut().insert("x-switchyard-position", position.parse().unwrap());
            let mut client = rig.api.intake.clone();
            async move { client.get_workspace(request).await }
        })
        .await?;
    }
    let mut watch =
        intake::WatchTicketsRequest { workspace_id: WORKSPACE.to_owned(), ..Default::default() };
    watch.start = Some(wire::common::v1::WatchStart {
        from: Some(wire::common::v1::watch_start::From::ResumeToken("nonsense".to_owned())),
    });
    let expected = crate::bad_input::rig::Refusal {
        fields: &["start.resume_token"],
        ..refusal(Code::InvalidArgument, "RESUME_TOKEN_INVALID")
    };
    rig.refused("a bad resume token", watch, expected, |request| {
        let mut client = rig.api.intake.clone();
        async move { client.watch_tickets(request).await.map(|_| tonic::Response::new(())) }
    })
    .await?;
    // The connection has survived all that.
    let good = intake::CreateTicketRequest {
        ticket_id: "t-2".to_owned(),
        request_id: new_id(),
        ..create()
    };
    rig.api.intake.clone().create_ticket(rig.api.request(good)).await?;
    rig.stack.stop().await
}
