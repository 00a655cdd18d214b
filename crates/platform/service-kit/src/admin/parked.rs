//! `ParkedService`: the inputs that were set aside, and what an operator says of them.

use prost::Message as _;
use runtime::{Release, ReleaseHow, Released, ServiceId};
use tonic::{Request, Response, Status, async_trait};
use wire::admin::v1::parked_service_server::ParkedService;
use wire::admin::v1::{
    DropParkedRequest, DropParkedResponse, ListParkedRequest, ListParkedResponse, ParkedChoice,
    RetryParkedRequest, RetryParkedResponse,
};
use wire::common::v1::{ErrorReason, Service as ServiceName};

use super::{ACTOR_MAX, Admin, REASON_MAX};
use crate::paging::REPLY_BYTES;
use crate::{Fields, Refusal, Size};

#[async_trait]
impl ParkedService for Admin {
    async fn list_parked(
        &self,
        _request: Request<ListParkedRequest>,
    ) -> Result<Response<ListParkedResponse>, Status> {
        let (mut entities, mut bytes, mut more) = (Vec::new(), 0_usize, false);
        for source in self.sources.iter() {
            for entity in source.parked().await? {
                more |= bytes >= REPLY_BYTES;
                if more {
                    break;
                }
                bytes = bytes.saturating_add(entity.encoded_len());
                entities.push(entity);
            }
        }
        Ok(Response::new(ListParkedResponse { entities, more }))
    }

    async fn retry_parked(
        &self,
        request: Request<RetryParkedRequest>,
    ) -> Result<Response<RetryParkedResponse>, Status> {
        let choice = request.into_inner().choice;
        let Released { count, left, error } =
            self.release(choice, ReleaseHow::Retry, Fields::new()).await?;
        if count == 0 && !error.is_empty() {
            let refusal = Refusal::of(
                ErrorReason::InputNotApplicable,
                format!("the first input still can't be applied: {error}"),
            );
            return Err(refusal.with("error", error).with("left", left).into());
        }
        Ok(Response::new(RetryParkedResponse { applied: count, left, error }))
    }

    async fn drop_parked(
        &self,
        request: Request<DropParkedRequest>,
    ) -> Result<Response<DropParkedResponse>, Status> {
        let DropParkedRequest { choice, count } = request.into_inner();
        let mut fields = Fields::new();
        fields.require(count > 0, "count", "must be at least 1");
        let done = self.release(choice, ReleaseHow::Drop(count), fields).await?;
        Ok(Response::new(DropParkedResponse { dropped: done.count, left: done.left }))
    }
}

impl Admin {
    async fn release(
        &self,
        choice: Option<ParkedChoice>,
        how: ReleaseHow,
        mut fields: Fields,
    ) -> Result<Released, Status> {
        let choice = choice.unwrap_or_default();
        let service: ServiceName = fields.required("choice.service", choice.service);
        let input: ServiceName = fields.required("choice.input", choice.input);
        let actor = fields.line("choice.actor", &choice.actor, Size::Chars(1..=ACTOR_MAX));
        let reason = fields.line("choice.reason", &choice.reason, Size::Chars(1..=REASON_MAX));
        fields.require(!choice.workspace.is_empty(), "choice.workspace", "must not be empty");
        fields.require(!choice.entity.is_empty(), "choice.entity", "must not be empty");
        fields.finish()?;
        let entity = choice.entity.clone();
        let nothing = || {
            Refusal::of(ErrorReason::NothingParked, "no input of this entity is set aside")
                .with("entity", entity.as_str())
        };
        let source = ServiceId::from_wire(service).and_then(|service| self.source(service));
        let (Some(source), Some(input)) = (source, ServiceId::from_wire(input)) else {
            return Err(nothing().into());
        };
        let (workspace, entity) = (choice.workspace, choice.entity);
        let done = source.release(Release { input, workspace, entity, how, actor, reason }).await?;
        if done == Released::default() { Err(nothing().into()) } else { Ok(done) }
    }
}
