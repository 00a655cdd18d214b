//! The logs of this process, put under test: in memory, and embedded.

use std::path::PathBuf;
use std::sync::Arc;

use async_trait::async_trait;
use event_log::conformance::{Act, Done, Harness};
use event_log::memory::MemoryProvider;
use event_log::{EventLogProvider, LogName};
use event_log_embedded::EmbeddedProvider;
use tempfile::TempDir;
use tokio::sync::Mutex;

use crate::damage;

/// The log in memory.
#[derive(Debug, Default)]
pub struct Memory {
    provider: MemoryProvider,
}

#[async_trait]
impl Harness for Memory {
    fn name(&self) -> &'static str {
        "memory"
    }

    async fn provider(&self) -> Arc<dyn EventLogProvider> {
        Arc::new(self.provider.clone())
    }

    async fn rival(&self) -> Arc<dyn EventLogProvider> {
        self.provider().await
    }

    async fn act(&self, name: &LogName, act: Act) -> Result<Done, String> {
        let faults = self.provider.faults(name).ok_or("no such log")?;
        match act {
            Act::Restart | Act::Crash => {
                return Ok(Done::NotApplicable("it ends with its process"));
            }
            Act::TearTail | Act::FlipBit(_) => {
                return Ok(Done::NotApplicable("nothing is stored that could be damaged"));
            }
            Act::PunchHoleInOneCopy(_) => return Ok(Done::NotApplicable("there is one copy")),
            Act::Cut => faults.set_unavailable(true),
            Act::LoseNextAck => faults.lose_next_ack(),
            Act::HoldNextAppend => faults.hold_next_append(),
            Act::Heal => {
                faults.set_unavailable(false);
                // What becomes of them is for the case to find out.
                drop(faults.release_held());
            }
            Act::FillUp => faults.set_full(true),
            Act::MakeRoom => faults.set_full(false),
            Act::PunchHole(seq) => faults.hide(seq),
            Act::DropAfter(last) => faults.drop_after(last),
        }
        Ok(Done::Yes)
    }
}

/// The embedded log.
#[derive(Debug)]
pub struct Embedded {
    temporary: TempDir,
    now: Mutex<Open>,
}

#[derive(Debug)]
struct Open {
    directory: PathBuf,
    provider: EmbeddedProvider,
    crashes: usize,
}

impl Embedded {
    /// Opens one in a temporary directory.
    pub fn start() -> anyhow::Result<Self> {
        let temporary = tempfile::tempdir()?;
        let directory = temporary.path().join("0");
        let provider = EmbeddedProvider::open(&directory)?;
        Ok(Self { temporary, now: Mutex::new(Open { directory, provider, crashes: 0 }) })
    }

    /// Closes the log, does something to its directory, and opens it again.
    async fn closed(&self, harm: impl FnOnce(&Open) -> anyhow::Result<()>) -> anyhow::Result<Done> {
        let mut open = self.now.lock().await;
        open.provider.close().await;
        harm(&open)?;
        open.provider = EmbeddedProvider::open(&open.directory)?;
        Ok(Done::Yes)
    }

    /// Goes on from a copy of the file as it is while open: what a process leaves that is killed.
    async fn crash(&self) -> anyhow::Result<Done> {
        let mut open = self.now.lock().await;
        open.crashes += 1;
        let directory = self.temporary.path().join(open.crashes.to_string());
        std::fs::create_dir(&directory)?;
        for file in ["FORMAT", "log.redb"] {
            std::fs::copy(open.directory.join(file), directory.join(file))?;
        }
        open.provider.close().await;
        open.provider = EmbeddedProvider::open(&directory)?;
        open.directory = directory;
        Ok(Done::Yes)
    }

    async fn limit(
        &self,
        limit: impl Fn(&EmbeddedProvider) -> std::io::Result<u64>,
    ) -> anyhow::Result<Done> {
        let open = self.now.lock().await;
        open.provider.set_max_bytes(limit(&open.provider)?);
        Ok(Done::Yes)
    }
}

#[async_trait]
impl Harness for Embedded {
    fn name(&self) -> &'static str {
        "embedded"
    }

    async fn provider(&self) -> Arc<dyn EventLogProvider> {
        Arc::new(self.now.lock().await.provider.clone())
    }

    async fn rival(&self) -> Arc<dyn EventLogProvider> {
        self.provider().await
    }

    async fn act(&self, name: &LogName, act: Act) -> Result<Done, String> {
        let done = match act {
            Act::Restart => self.closed(|_| Ok(())).await,
            Act::Crash => self.crash().await,
            Act::Cut | Act::LoseNextAck | Act::HoldNextAppend | Act::Heal => Ok(
                Done::NotApplicable("nothing lies between the caller and the log that could fail"),
            ),
            Act::FillUp => self.limit(EmbeddedProvider::file_bytes).await,
            Act::MakeRoom => self.limit(|_| Ok(u64::MAX)).await,
            Act::TearTail => Ok(Done::NotApplicable(
                "a commit is there or not by one switch of the file's root, so no record is torn",
            )),
            Act::PunchHoleInOneCopy(_) => Ok(Done::NotApplicable("there is one copy")),
            Act::PunchHole(seq) => {
                self.closed(|open| Ok(damage::remove(&open.directory, name, seq)?)).await
            }
            Act::FlipBit(seq) => {
                self.closed(|open| Ok(damage::flip_bit(&open.directory, name, seq)?)).await
            }
            Act::DropAfter(last) => {
                self.closed(|open| Ok(damage::drop_after(&open.directory, name, last)?)).await
            }
        };
        done.map_err(|error| format!("{error:#}"))
    }
}
