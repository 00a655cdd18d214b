//! Whether the servers put every append on disk before they acknowledge it: their monitoring ports say so, nothing else
//! does.

use std::time::Duration;

use event_log::{Cause, OpenError};
use reqwest::{Certificate, Client};
use serde_json::Value;
use tokio::sync::watch;
use tokio::task::JoinHandle;

use crate::NatsConfig;

/// How often the servers are asked. The setting changes only with a server's restart.
const ASK_EVERY: Duration = Duration::from_secs(10);
const ASK_WITHIN: Duration = Duration::from_secs(2);

/// What the servers that were named say.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Syncing {
    /// Servers that acknowledge before they sync.
    pub(crate) faults: Vec<String>,
    /// Servers that can't be asked.
    pub(crate) warnings: Vec<String>,
}

/// Asks on and on, until it is dropped.
#[derive(Debug)]
pub(crate) struct Monitor {
    syncing: watch::Receiver<Syncing>,
    asking: JoinHandle<()>,
}

impl Monitor {
    /// Asks once before it returns. None if no server's port was named.
    pub(crate) async fn start(config: &NatsConfig) -> Result<Option<Self>, OpenError> {
        if config.monitor_urls.is_empty() {
            return Ok(None);
        }
        let client = client(config).await.map_err(OpenError::Denied)?;
        let urls = config.monitor_urls.clone();
        let (says, syncing) = watch::channel(ask_all(&client, &urls).await);
        warn(&says.borrow());
        let asking = tokio::spawn(async move {
            loop {
                tokio::time::sleep(ASK_EVERY).await;
                let now = ask_all(&client, &urls).await;
                let changed = says.send_if_modified(|before| {
                    let changed = *before != now;
                    *before = now;
                    changed
                });
                if changed {
                    warn(&says.borrow());
                }
            }
        });
        Ok(Some(Self { syncing, asking }))
    }

    /// What was last heard.
    pub(crate) fn syncing(&self) -> Syncing {
        self.syncing.borrow().clone()
    }
}

impl Drop for Monitor {
    fn drop(&mut self) {
        self.asking.abort();
    }
}

fn warn(syncing: &Syncing) {
    for fault in &syncing.faults {
        tracing::error!(fault, "the log's server can lose what it acknowledged");
    }
    for warning in &syncing.warnings {
        tracing::warn!(warning, "the log's server can't be asked whether it syncs");
    }
}

/// Over https it trusts the authorities that are trusted for NATS, or else the host's.
async fn client(config: &NatsConfig) -> Result<Client, Cause> {
    // A second installation is refused, and the first one is as good.
    drop(rustls::crypto::ring::default_provider().install_default());
    let mut builder = Client::builder().no_proxy().timeout(ASK_WITHIN);
    if let Some(file) = &config.tls_ca_file {
        let pem = tokio::fs::read(file).await?;
        builder = builder.tls_certs_only(Certificate::from_pem_bundle(&pem)?);
    } else if config.monitor_urls.iter().all(|url| url.starts_with("http://")) {
        // No certificate will be checked, so a host without authorities does as well.
        builder = builder.tls_certs_only([]);
    }
    Ok(builder.build()?)
}

async fn ask_all(client: &Client, urls: &[String]) -> Syncing {
    let mut all = Syncing::default();
    for url in urls {
        match ask(client, url).await {
            Ok(true) => {}
            Ok(false) => all.faults.push(format!(
                "its server at {} acknowledges before it is on disk: set `sync_interval: always`",
                shown(url)
            )),
            Err(error) => all.warnings.push(format!("{} does not say: {error}", shown(url))),
        }
    }
    all
}

/// Whether the server syncs each append. The field is there only if it does.
async fn ask(client: &Client, url: &str) -> Result<bool, Cause> {
    let url = format!("{}/jsz", url.trim_end_matches('/'));
    let reply = client.get(url).send().await.map_err(reqwest::Error::without_url)?;
    let reply = reply.error_for_status().map_err(reqwest::Error::without_url)?;
    let said: Value = reply.json().await.map_err(reqwest::Error::without_url)?;
    let config = said.get("config").ok_or("the answer has no JetStream configuration")?;
    Ok(config.get("sync_always").and_then(Value::as_bool) == Some(true))
}

/// The address without what may be a password.
fn shown(url: &str) -> &str {
    url.rsplit(['@', '/']).find(|part| !part.is_empty()).unwrap_or(url)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_password_is_not_shown() {
        for url in ["http://u:secret@n1:8222", "http://u:secret@n1:8222/", "http://n1:8222"] {
            assert_eq!(shown(url), "n1:8222");
        }
    }
}
