//! A workspace of the same partition that has done nothing to deserve it.

use anyhow::{Context as _, ensure};
use prost_types::Timestamp;
use runtime::{ServiceId, partition_of};
use tests::api::{Api, new_id};
use tests::call;
use tests::receiver::Receiver;
use tests::story::{tell, ticket};
use wire::admin::v1::AdvanceToRequest;
use wire::common::v1::Channel;
use wire::intake::v1 as intake;

/// The first workspace that calls are made to.
pub(super) const FUZZED: &str = "f-0";

/// Who lives beside [`FUZZED`].
#[derive(Debug)]
pub(super) struct Neighbour {
    /// The workspace with a ticket that nothing may happen to.
    pub(super) quiet: String,
    ticket: intake::Ticket,
    /// A workspace that isn't there yet.
    lively: String,
}

/// Makes the workspace, with one ticket.
pub(super) async fn move_in(api: &Api) -> anyhow::Result<Neighbour> {
    let partitions = u16::try_from(api.status(ServiceId::Intake).await?.len())?;
    let beside = |name: &str| {
        let names = (0..).map(|number| format!("{name}-{number}"));
        let same = |id: &String| partition_of(id, partitions) == partition_of(FUZZED, partitions);
        names.take(10_000).find(same).context("no name is of that partition")
    };
    let (quiet, lively) = (beside("quiet")?, beside("lively")?);
    let workspace = intake::Workspace { workspace_id: quiet.clone(), ..Default::default() };
    let put = intake::PutWorkspaceRequest { workspace: Some(workspace), ..Default::default() };
    call!(api, intake.put_workspace, put).await?;
    let create = intake::CreateTicketRequest {
        workspace_id: quiet.clone(),
        request_id: new_id(),
        channel: Channel::Email.into(),
        subject: "The neighbours are loud".to_owned(),
        body: "Can you do something?".to_owned(),
        ..Default::default()
    };
    let made = call!(api, intake.create_ticket, create).await?;
    api.rest().await?;
    let ticket = ticket(api, &quiet, &made.ticket_id).await?;
    Ok(Neighbour { quiet, ticket, lively })
}

impl Neighbour {
    /// The ticket is as it was, and a whole story can be told beside it. The clock is put to `now` for it, which
    /// webhooks are checked by.
    pub(super) async fn is_undisturbed(&self, api: &Api, now: i64) -> anyhow::Result<()> {
        let instant = Some(Timestamp { seconds: now, nanos: 0 });
        api.clock(ServiceId::Intake).advance_to(AdvanceToRequest { instant }).await?;
        api.rest().await?;
        let after = ticket(api, &self.quiet, &self.ticket.ticket_id).await?;
        ensure!(after == self.ticket, "a neighbour's ticket has changed: {after:?}");
        let receiver = Receiver::start().await?;
        tell(api, &self.lively, &receiver).await.context("the neighbour's story")?;
        Ok(())
    }
}
