//! What a workspace is told by: endpoints, rules over templates, and tickets that set them off.

use anyhow::Context as _;
use tonic::Status;
use wire::common::v1::Channel;
use wire::events::v1 as events;
use wire::intake::v1 as intake;
use wire::notify::v1 as notify;

use crate::api::{Api, new_id};
use crate::call;

/// A workspace's name that lies in this partition of four.
pub fn workspace_in(partition: u16, prefix: &str) -> String {
    let name = |number: u32| format!("{prefix}-{number}");
    let fits = |name: &String| runtime::partition_of(name, 4) == partition;
    (0..1_000).map(name).find(fits).unwrap_or_default()
}

/// Makes a workspace.
pub async fn put_workspace(api: &Api, workspace: &str) -> anyhow::Result<()> {
    let put = intake::PutWorkspaceRequest {
        workspace: Some(intake::Workspace {
            workspace_id: workspace.to_owned(),
            display_name: workspace.to_owned(),
            ..Default::default()
        }),
        request_id: new_id(),
        expected_revision: 0,
    };
    call!(api, intake.put_workspace, put).await.context("workspace")?;
    Ok(())
}

/// Makes or changes an endpoint. Returns what the service answers.
pub async fn put_endpoint(
    api: &Api,
    workspace: &str,
    endpoint: &str,
    url: &str,
    secret: &str,
) -> Result<notify::PutEndpointResponse, Status> {
    let put = notify::PutEndpointRequest {
        workspace_id: workspace.to_owned(),
        request_id: new_id(),
        endpoint: Some(notify::Endpoint {
            endpoint_id: endpoint.to_owned(),
            url: url.to_owned(),
            secret: secret.to_owned(),
            ..Default::default()
        }),
        expected_revision: 0,
    };
    call!(api, notify.put_endpoint, put).await
}

/// Makes a rule about tickets that were opened: to an endpoint, or in the app if there is none.
pub async fn put_rule(
    api: &Api,
    workspace: &str,
    rule: &str,
    endpoint: Option<&str>,
    template: &str,
) -> Result<notify::PutRuleResponse, Status> {
    let channel = match endpoint {
        Some(_) => events::NotificationChannel::Webhook,
        None => events::NotificationChannel::InApp,
    };
    let recipients = if endpoint.is_some() { Vec::new() } else { vec!["all".to_owned()] };
    let put = notify::PutRuleRequest {
        workspace_id: workspace.to_owned(),
        request_id: new_id(),
        rule: Some(notify::Rule {
            rule_id: rule.to_owned(),
            event_types: vec!["TicketOpened".to_owned()],
            channel: channel.into(),
            endpoint_id: endpoint.unwrap_or_default().to_owned(),
            recipients,
            template: template.to_owned(),
            ..Default::default()
        }),
        expected_revision: 0,
    };
    call!(api, notify.put_rule, put).await
}

/// Opens a ticket. Returns its id.
pub async fn open_ticket(api: &Api, workspace: &str) -> anyhow::Result<String> {
    let create = intake::CreateTicketRequest {
        workspace_id: workspace.to_owned(),
        request_id: new_id(),
        channel: Channel::Email.into(),
        requester: Some(events::Requester { name: "Grace".to_owned(), ..Default::default() }),
        subject: "Where is it?".to_owned(),
        body: "It should have come.".to_owned(),
        ..Default::default()
    };
    Ok(call!(api, intake.create_ticket, create).await.context("ticket")?.ticket_id)
}

/// The deliveries of a workspace, newest first.
pub async fn deliveries(api: &Api, workspace: &str) -> anyhow::Result<Vec<notify::Delivery>> {
    let list = notify::ListDeliveriesRequest {
        workspace_id: workspace.to_owned(),
        page_size: 1_000,
        ..Default::default()
    };
    Ok(call!(api, notify.list_deliveries, list).await?.deliveries)
}
