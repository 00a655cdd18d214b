//! Opens logs: a directory, or NATS. What an operator must change is bad configuration.

use std::path::{Path, PathBuf};

use anyhow::{Context as _, Result};
use archive::Archive;
use event_log::OpenError;
use event_log_embedded::EmbeddedProvider;
use event_log_nats::{NatsConfig, NatsProvider};
use runtime::{Doubt, StartError};

use crate::cli::Nats;
use crate::exit::{BadConfiguration, Unavailable, bad_configuration};

/// How many partitions each service has in a directory.
pub(crate) const EMBEDDED_PARTITIONS: u16 = 4;

/// Where in a data directory the log is.
fn log_of(data_dir: &Path) -> PathBuf {
    data_dir.join("log")
}

/// Opens the log in a data directory, or makes it.
pub(crate) async fn embedded(data_dir: &Path) -> Result<EmbeddedProvider> {
    let place = log_of(data_dir);
    tokio::task::spawn_blocking(move || EmbeddedProvider::open(place)).await?.map_err(explain_open)
}

/// Opens the log in a data directory that must have one.
pub(crate) async fn existing(data_dir: &Path) -> Result<EmbeddedProvider> {
    let why = match std::fs::metadata(log_of(data_dir)) {
        Ok(found) if found.is_dir() => return embedded(data_dir).await,
        Ok(_) => format!("{} is no data directory", data_dir.display()),
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => {
            format!("{} holds no log", data_dir.display())
        }
        Err(error) => format!("{} can't be looked at: {error}", data_dir.display()),
    };
    Err(BadConfiguration(why).into())
}

/// Opens an archive that must be there.
pub(crate) fn archive(directory: &Path) -> Result<Archive> {
    Archive::open(directory).map_err(|error| BadConfiguration(error.to_string()).into())
}

/// Connects to NATS. `replicas` matters only to streams that are made.
pub(crate) async fn nats(urls: &str, settings: &Nats, replicas: usize) -> Result<NatsProvider> {
    check_urls(urls)?;
    let mut config = NatsConfig::new(urls);
    config.stream_prefix.clone_from(&settings.stream_prefix);
    config.credentials_file.clone_from(&settings.nats_creds);
    config.tls_ca_file.clone_from(&settings.nats_ca);
    config.tls_cert_file.clone_from(&settings.nats_cert);
    config.tls_key_file.clone_from(&settings.nats_key);
    config.tls_required = settings.nats_ca.is_some() || settings.nats_cert.is_some();
    config.inbox_prefix = settings.nats_inbox_prefix.as_deref().map(inbox_prefix).transpose()?;
    config.replicas = replicas;
    config.monitor_urls = monitors(settings.nats_monitor.as_deref().unwrap_or_default())?;
    let at = || format!("NATS at {}", without_credentials(urls));
    NatsProvider::connect(config).await.map_err(explain_open).with_context(at)
}

/// Servers' addresses as they may be shown.
fn without_credentials(urls: &str) -> String {
    let each = urls.split(',').map(|url| {
        let (scheme, rest) = url.split_once("://").unwrap_or(("nats", url));
        let (_, host) = rest.rsplit_once('@').unwrap_or(("", rest));
        format!("{}://{host}", scheme.trim())
    });
    each.collect::<Vec<_>>().join(",")
}

/// Addresses that a client of NATS takes.
fn check_urls(urls: &str) -> Result<()> {
    let good = |url: &str| match url.trim().split_once("://") {
        Some((scheme, host)) => ["nats", "tls", "ws", "wss"].contains(&scheme) && !host.is_empty(),
        None => !url.trim().is_empty(),
    };
    if urls.split(',').all(good) {
        return Ok(());
    }
    Err(bad_configuration(
        "--log takes nats://HOST:PORT or tls://HOST:PORT, several separated by commas",
    ))
}

/// A prefix that can be one.
fn inbox_prefix(setting: &str) -> Result<String> {
    let fits = |c: char| c.is_ascii_alphanumeric() || c == '_' || c == '-';
    let tokens = setting.split('.');
    let good = tokens.clone().count() <= 8
        && tokens.into_iter().all(|token| !token.is_empty() && token.chars().all(fits));
    good.then(|| setting.to_owned()).ok_or_else(|| {
        bad_configuration(
            "--nats-inbox-prefix takes letters, digits, '_' and '-', parts joined by '.'",
        )
    })
}

/// The monitoring ports in a setting.
fn monitors(setting: &str) -> Result<Vec<String>> {
    let urls = setting.split(',').map(str::trim).filter(|url| !url.is_empty());
    urls.map(|url| {
        let fits = url.starts_with("http://") || url.starts_with("https://");
        fits.then(|| url.to_owned())
            .ok_or_else(|| bad_configuration("--nats-monitor takes http://HOST:PORT"))
    })
    .collect()
}

/// Whether an operator must act, or waiting may help.
pub(crate) fn explain_open(error: OpenError) -> anyhow::Error {
    match error {
        OpenError::Unavailable(cause) => {
            anyhow::Error::new(Unavailable).context(format!("the log is unavailable: {cause}"))
        }
        // Neither waiting nor another setting helps: see deploy/README.md.
        error @ OpenError::Damaged { .. } => error.into(),
        OpenError::Missing { .. }
        | OpenError::BadName { .. }
        | OpenError::InUse { .. }
        | OpenError::OtherVersion { .. }
        | OpenError::Misconfigured { .. }
        | OpenError::TooLarge { .. } => BadConfiguration(error.to_string()).into(),
        OpenError::Denied(cause) => {
            BadConfiguration(format!("access to the log is denied: {cause}")).into()
        }
    }
}

/// [`explain_open`] for all that may keep a service from starting.
pub(crate) fn explain_start(error: StartError) -> anyhow::Error {
    match error {
        StartError::NotInitialised { .. } => BadConfiguration(error.to_string()).into(),
        StartError::Open(error) => explain_open(error),
        StartError::Doubt(doubt @ Doubt::Genesis { .. }) => {
            BadConfiguration(doubt.to_string()).into()
        }
        StartError::Read(_) | StartError::Doubt(_) => error.into(),
    }
}
