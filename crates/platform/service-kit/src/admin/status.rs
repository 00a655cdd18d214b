//! `StatusService`: every partition of every service of the process.

use std::collections::BTreeMap;

use tonic::{Request, Response, Status, async_trait};
use wire::admin::v1::status_service_server::StatusService;
use wire::admin::v1::{GetStatusRequest, GetStatusResponse, PartitionStatus};

use super::Admin;

#[async_trait]
impl StatusService for Admin {
    async fn get_status(
        &self,
        request: Request<GetStatusRequest>,
    ) -> Result<Response<GetStatusResponse>, Status> {
        let with_state_hash = request.into_inner().include_state_hash;
        let each = self.sources.iter().map(|source| source.status(with_state_hash));
        let mut partitions: Vec<_> =
            futures::future::join_all(each).await.into_iter().flatten().collect();
        fill_in_lag(&mut partitions);
        let version = env!("CARGO_PKG_VERSION").to_owned();
        Ok(Response::new(GetStatusResponse { partitions, version }))
    }
}

/// The heads that this process knows are those of its own services.
fn fill_in_lag(partitions: &mut [PartitionStatus]) {
    let heads: BTreeMap<_, _> = partitions
        .iter()
        .filter_map(|status| status.position.as_ref())
        .map(|head| ((head.service, head.partition), head.seq))
        .collect();
    for status in partitions {
        let behind = status.inputs.iter().map(|input| {
            let head = heads.get(&(input.service, input.partition)).copied();
            head.unwrap_or(input.seq).saturating_sub(input.seq)
        });
        status.lag_records = behind.sum();
    }
}
