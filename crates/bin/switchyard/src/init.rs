//! `switchyard init`: makes the streams once, with their number of partitions and replicas, and begins lost ones anew.

mod accept_loss;

use std::path::Path;

use anyhow::Result;
use event_log::{EventLogProvider, LogName, OpenError};
use event_log_embedded::EmbeddedProvider;
use event_log_nats::NatsProvider;
use runtime::ServiceId;

use crate::cli::Init;
use crate::exit::bad_configuration;
use crate::{logs, out, secrets};

pub(crate) use accept_loss::Lost;
use accept_loss::Word;

/// Makes what is missing and checks what is there. Streams with another number of partitions are bad configuration.
pub(crate) async fn run(settings: Init) -> Result<()> {
    if ![1, 3, 5].contains(&settings.replicas) {
        return Err(bad_configuration("--replicas must be 1, 3 or 5"));
    }
    let word = Word::of(&settings)?;
    if let Some(file) = &settings.keys.secrets_key_file {
        let made = secrets::make(file)?;
        let made = if made { "was made" } else { "is there" };
        out::note(&format!("the key of webhooks' secrets {made}: {}", file.display()));
    }
    match (&settings.log, &settings.data_dir) {
        (_, Some(data_dir)) => in_directory(data_dir, word.as_ref()).await,
        (Some(urls), None) => on_nats(urls, &settings, word.as_ref()).await,
        (None, None) => Err(bad_configuration("name where the logs are: --log or --data-dir")),
    }
}

async fn on_nats(urls: &str, settings: &Init, word: Option<&Word>) -> Result<()> {
    let provider = logs::nats(urls, &settings.nats, settings.replicas).await?;
    provider.create_board().await.map_err(logs::explain_open)?;
    if let Some(word) = word {
        let board = provider.board();
        let place = Place::Nats(&provider);
        accept_loss::run(&place, settings.partitions, word, Some(&board)).await?;
    }
    runtime::initialise(&provider, &ServiceId::ALL, settings.partitions)
        .await
        .map_err(logs::explain_start)?;
    out::note(&format!(
        "{} services x {} partitions are ready under the prefix {}",
        ServiceId::ALL.len(),
        settings.partitions,
        settings.nats.stream_prefix
    ));
    Ok(())
}

/// A directory's logs are made by `up`; here those are begun anew that are given up.
async fn in_directory(data_dir: &Path, word: Option<&Word>) -> Result<()> {
    let Some(word) = word else { return Ok(()) };
    if !data_dir.is_dir() {
        return Err(bad_configuration(format!("{} is no directory", data_dir.display())));
    }
    let provider = logs::embedded(data_dir).await?;
    let done =
        accept_loss::run(&Place::Directory(&provider), logs::EMBEDDED_PARTITIONS, word, None).await;
    provider.close().await;
    done
}

/// Where logs are begun anew.
enum Place<'a> {
    Directory(&'a EmbeddedProvider),
    Nats(&'a NatsProvider),
}

impl Place<'_> {
    fn provider(&self) -> &dyn EventLogProvider {
        match self {
            Self::Directory(provider) => *provider,
            Self::Nats(provider) => *provider,
        }
    }

    async fn remove(&self, name: &LogName) -> Result<(), OpenError> {
        match self {
            Self::Directory(provider) => provider.remove(name).await,
            Self::Nats(provider) => provider.remove(name).await,
        }
    }
}
