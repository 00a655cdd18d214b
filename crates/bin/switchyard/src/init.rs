//! `switchyard init`: makes the streams once, with their number of partitions and replicas.

use anyhow::Result;
use runtime::ServiceId;

use crate::cli::Init;
use crate::exit::bad_configuration;
use crate::{logs, out};

/// Makes what is missing and checks what is there. Streams with another number of partitions are bad configuration.
pub(crate) async fn run(settings: Init) -> Result<()> {
    if ![1, 3, 5].contains(&settings.replicas) {
        return Err(bad_configuration("--replicas must be 1, 3 or 5"));
    }
    let provider = logs::nats(&settings.log, &settings.nats, settings.replicas).await?;
    runtime::initialise(&provider, &ServiceId::ALL, settings.partitions)
        .await
        .map_err(logs::explain_start)?;
    provider.create_board().await.map_err(logs::explain_open)?;
    out::note(&format!(
        "{} services x {} partitions are ready under the prefix {}",
        ServiceId::ALL.len(),
        settings.partitions,
        settings.nats.stream_prefix
    ));
    Ok(())
}
