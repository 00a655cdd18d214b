//! The header `x-switchyard-position`: a call that names a position is answered only once its service has seen it.

use std::collections::BTreeMap;
use std::fmt::Debug;
use std::sync::Arc;
use std::time::Duration;

use http::HeaderMap;
use runtime::{Health, Node, Positions, Service, WaitError};
use tonic::async_trait;
use wire::common::v1::ErrorReason;

use crate::Refusal;

/// The header's name.
pub const POSITION_HEADER: &str = "x-switchyard-position";

/// What can wait for positions: a service.
#[async_trait]
pub trait PositionGate: Debug + Send + Sync {
    /// Returns once everything at these positions is seen here, or why it never will be.
    async fn seen(&self, positions: &Positions) -> Result<(), WaitError>;

    /// How far it is.
    fn have(&self) -> Positions;
}

#[async_trait]
impl<S: Service> PositionGate for Node<S> {
    /// What another instance leads is waited for there, where the call ends up: a standby learns late how far its
    /// leader has read. A partition that has halted is not waited for: the call is told so.
    async fn seen(&self, positions: &Positions) -> Result<(), WaitError> {
        for position in positions.iter() {
            let partition = self.partitions().get(usize::from(position.partition));
            let partition = partition.ok_or(WaitError::NoPartition(position))?;
            let mut one = Positions::default();
            one.merge(position);
            let mut health = partition.watch_health();
            let elsewhere = health
                .wait_for(|health| matches!(health, Health::Standby { .. } | Health::Halted(_)));
            tokio::select! {
                biased;
                _ = elsewhere => {}
                seen = partition.wait_for(&one) => seen?,
            }
        }
        Ok(())
    }

    fn have(&self) -> Positions {
        let mut have = Positions::default();
        for partition in self.partitions() {
            have.merge(partition.head());
            partition.inputs().into_iter().for_each(|input| have.merge(input));
        }
        have
    }
}

/// The gates of a server's services, by the services' full names. A service without one waits for nothing.
#[derive(Debug, Clone, Default)]
pub struct Gates(Arc<BTreeMap<String, Arc<dyn PositionGate>>>);

impl Gates {
    /// These gates.
    pub fn new(gates: impl IntoIterator<Item = (String, Arc<dyn PositionGate>)>) -> Self {
        Self(Arc::new(gates.into_iter().collect()))
    }

    /// Waits as the header asks, for at most `within`.
    pub(crate) async fn pass(
        &self,
        path: &str,
        headers: &HeaderMap,
        within: Duration,
    ) -> Result<(), Refusal> {
        let Some(wanted) = wanted(headers)? else { return Ok(()) };
        let service = path.trim_start_matches('/').split('/').next().unwrap_or_default();
        let Some(gate) = self.0.get(service) else { return Ok(()) };
        match tokio::time::timeout(within, gate.seen(&wanted)).await {
            Ok(Ok(())) => Ok(()),
            Ok(Err(WaitError::OtherLog(position))) => Err(Refusal::of(
                ErrorReason::LogGenerationChanged,
                "the position belongs to another generation of the log",
            )
            .with("log_id", uuid::Uuid::from_bytes(position.log_id).simple())),
            Ok(Err(WaitError::NoPartition(_))) => Err(invalid()),
            Err(_) => Err(ahead(&gate.have(), &wanted)),
        }
    }
}

/// The positions that the header names; several headers and commas add up.
fn wanted(headers: &HeaderMap) -> Result<Option<Positions>, Refusal> {
    let mut wanted: Option<Positions> = None;
    for value in headers.get_all(POSITION_HEADER) {
        let text = value.to_str().map_err(|_| invalid())?;
        let positions: Positions = text.parse().map_err(|_| invalid())?;
        let all = wanted.get_or_insert_default();
        positions.iter().for_each(|position| all.merge(position));
        if all.iter().count() > Positions::MAX {
            return Err(invalid());
        }
    }
    Ok(wanted)
}

fn invalid() -> Refusal {
    Refusal::of(ErrorReason::PositionInvalid, "the position can't be read")
        .with("header", POSITION_HEADER)
}

fn ahead(have: &Positions, want: &Positions) -> Refusal {
    let mut relevant = Positions::default();
    for wanted in want.iter() {
        let same = |at: &runtime::Position| {
            at.service == wanted.service && at.partition == wanted.partition
        };
        have.iter().filter(same).for_each(|position| relevant.merge(position));
    }
    Refusal::of(
        ErrorReason::PositionAhead,
        "the service has not seen the position yet and did not catch up in time",
    )
    .with("have", relevant)
    .with("want", want)
}

#[cfg(test)]
mod tests {
    use http::HeaderValue;
    use proptest::collection::vec;
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn any_headers_are_positions_or_refused(values in vec(vec(any::<u8>(), 0..60), 0..4)) {
            let mut headers = HeaderMap::new();
            for value in values.iter().filter_map(|bytes| HeaderValue::from_bytes(bytes).ok()) {
                headers.append(POSITION_HEADER, value);
            }
            if let Ok(Some(wanted)) = wanted(&headers) {
                prop_assert!(wanted.iter().count() <= Positions::MAX);
            }
        }
    }
}
