//! Two instances of every service on NATS, as processes, and a client that tries one and then the other.

use std::fmt::{self, Debug};
use std::future::Future;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use anyhow::{Context as _, ensure};
use runtime::ServiceId;
use tempfile::TempDir;
use tokio::time::{Instant, sleep, timeout};
use tonic::{Code, Request, Response, Status};

use crate::api::{Addresses, Api, LOOK_AGAIN_EVERY, Reply, may_retry, until};
use crate::nats::Nats;
use crate::process::{Process, run};
use crate::stack::every_state_compared;

/// How long one attempt may take: a frozen instance answers none.
const ATTEMPT_WITHIN: Duration = Duration::from_secs(3);
/// How long a call is repeated before it counts as failed.
const REPEATED_FOR: Duration = Duration::from_secs(120);
const LONGEST_PAUSE: Duration = Duration::from_millis(200);

/// A port of its own for each.
const ANY: &str = "127.0.0.1:0";

/// How many instances every service has.
pub const INSTANCES: usize = 2;
/// How many partitions every service has.
pub const PARTITIONS: u32 = 2;

/// Running instances, and the log that they share.
#[derive(Debug)]
pub struct Cluster {
    /// The log's servers.
    pub nats: Nats,
    /// By service in their order, then by instance.
    instances: Vec<Vec<Process>>,
    directory: TempDir,
}

/// One instance of a service.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct At {
    /// Which service.
    pub service: ServiceId,
    /// Which of its instances.
    pub instance: usize,
}

impl At {
    /// All instances of all services.
    pub fn all() -> impl Iterator<Item = Self> {
        let of = |service| (0..INSTANCES).map(move |instance| Self { service, instance });
        ServiceId::ALL.into_iter().flat_map(of)
    }
}

impl fmt::Display for At {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}-{}", self.service, self.instance)
    }
}

impl Cluster {
    /// Makes the streams, with a replica on each server, and starts two instances of each service. `url`: where these
    /// reach NATS.
    pub async fn start(nats: Nats, url: &str) -> anyhow::Result<Self> {
        let url = |_| url.to_owned();
        Self::start_in(tempfile::tempdir()?, nats, url, &[("SWITCHYARD_METRICS_LISTEN", ANY)]).await
    }

    /// The same with the data directories in `directory`, each instance with a way to NATS of its own, and in this
    /// environment.
    pub async fn start_in(
        directory: TempDir,
        nats: Nats,
        url: impl Fn(At) -> String,
        environment: &[(&str, &str)],
    ) -> anyhow::Result<Self> {
        let (partitions, replicas) = (PARTITIONS.to_string(), nats.members().to_string());
        let direct = nats.url();
        let init = ["init", "--log", &direct, "--partitions", &partitions, "--replicas", &replicas];
        let made = run(&init).await?;
        ensure!(made.status.success(), "init: {}", String::from_utf8_lossy(&made.stderr));
        let mut instances = Vec::new();
        for service in ServiceId::ALL {
            let mut of_service = Vec::new();
            for instance in 0..INSTANCES {
                let at = At { service, instance };
                let (name, log) = (at.to_string(), url(at));
                let arguments =
                    ["serve", service.name(), "--log", &log, "--allow-private-endpoints"];
                let started = Process::start(&name, directory.path(), &arguments, environment);
                of_service.push(started.await?);
            }
            instances.push(of_service);
        }
        Ok(Self { nats, instances, directory })
    }

    /// The process of an instance.
    pub fn process(&mut self, at: At) -> anyhow::Result<&mut Process> {
        let index = index_of(at.service)?;
        let of_service = self.instances.get_mut(index).context("no such service")?;
        of_service.get_mut(at.instance).context("no such instance")
    }

    /// Where an instance keeps its snapshots.
    pub fn data_directory(&self, at: At) -> std::path::PathBuf {
        self.directory.path().join(at.to_string())
    }

    /// A client of the instances with this number, of all services.
    fn side(&self, instance: usize) -> anyhow::Result<Api> {
        let at = |service: usize| -> anyhow::Result<String> {
            let of_service = self.instances.get(service).context("no such service")?;
            let process = of_service.get(instance).context("no such instance")?;
            Ok(process.address().to_owned())
        };
        Api::new(&Addresses { intake: at(0)?, routing: at(1)?, sla: at(2)?, notify: at(3)? })
    }

    /// Clients of all instances.
    pub fn sides(&self) -> anyhow::Result<Vec<Api>> {
        (0..INSTANCES).map(|instance| self.side(instance)).collect()
    }

    /// A client that any instance will do for.
    pub fn client(&self) -> anyhow::Result<Client> {
        Ok(Client { sides: self.sides()?.into(), turn: Arc::default() })
    }

    /// Waits until each partition of a service is led by some instance, and says by which.
    pub async fn leaders(&self, service: ServiceId) -> anyhow::Result<Vec<At>> {
        let sides = self.sides()?;
        until("all partitions are led", || async {
            let mut leaders = vec![None; usize::try_from(PARTITIONS)?];
            for (instance, side) in sides.iter().enumerate() {
                let asked = timeout(ATTEMPT_WITHIN, side.status(service)).await;
                let Ok(Ok(partitions)) = asked else { continue };
                for status in partitions.iter().filter(|status| status.leader) {
                    let partition = status.position.as_ref().map_or(0, |it| it.partition);
                    if let Some(leader) = leaders.get_mut(usize::try_from(partition)?) {
                        *leader = Some(At { service, instance });
                    }
                }
            }
            Ok(leaders.into_iter().collect())
        })
        .await
    }

    /// Waits until every partition of every service is led and has a standby: whoever dies next, another goes on.
    pub async fn whole(&self) -> anyhow::Result<()> {
        let sides = self.sides()?;
        for service in ServiceId::ALL {
            until("every partition has a leader and a standby", || async {
                let (mut leaders, mut standbys) = (0, 0);
                for side in &sides {
                    let Ok(Ok(partitions)) = timeout(ATTEMPT_WITHIN, side.status(service)).await
                    else {
                        return Ok(None);
                    };
                    leaders += partitions.iter().filter(|status| status.leader).count();
                    standbys += partitions.iter().filter(|status| status.standby).count();
                }
                let wanted = usize::try_from(PARTITIONS)?;
                Ok((leaders == wanted && standbys == wanted).then_some(()))
            })
            .await
            .with_context(|| service.to_string())?;
        }
        Ok(())
    }

    /// Stops all, each of which must end well; then every log, folded again, must come to the states that leaders wrote
    /// down.
    pub async fn stop(mut self) -> anyhow::Result<()> {
        self.stop_instances().await?;
        self.verify().await
    }

    /// Stops all instances, each of which must end well. The log stays.
    ///
    /// The last one of each service leads all of it before it is told to stop: a leader writes its state's hash when it
    /// stops, and one who only hands over leaves that to the next.
    pub async fn stop_instances(&mut self) -> anyhow::Result<()> {
        for at in At::all() {
            if at.instance + 1 == INSTANCES {
                let last = self.side(at.instance)?;
                until("the last instance leads all partitions", || async {
                    let partitions = last.status(at.service).await?;
                    let led = partitions.iter().filter(|status| status.leader).count();
                    Ok((led == usize::try_from(PARTITIONS)?).then_some(()))
                })
                .await
                .with_context(|| at.to_string())?;
            }
            let process = self.process(at)?;
            let ended = process.stop().await?;
            ensure!(ended.success(), "{at} ended with {ended}: {}", process.said());
        }
        Ok(())
    }

    /// Every log, folded again, must come to the states that leaders wrote down.
    pub async fn verify(&self) -> anyhow::Result<()> {
        every_state_compared(&run(&["verify", "-o", "json", "--log", &self.nats.url()]).await?)
    }

    /// What the instances have printed, for a test that fails.
    pub fn said(&self) -> String {
        let mut said = Vec::new();
        for process in self.instances.iter().flatten() {
            said.push(process.address().to_owned());
            said.push(last_lines(&process.said()));
        }
        said.join("\n")
    }
}

fn index_of(service: ServiceId) -> anyhow::Result<usize> {
    ServiceId::ALL.iter().position(|&other| other == service).context("no such service")
}

fn last_lines(text: &str) -> String {
    let lines: Vec<&str> = text.lines().collect();
    let from = lines.len().saturating_sub(25);
    lines.into_iter().skip(from).collect::<Vec<_>>().join("\n")
}

/// Tries one instance after the other with the very same request, as a careful backend does.
#[derive(Debug, Clone)]
pub struct Client {
    sides: Arc<[Api]>,
    turn: Arc<AtomicUsize>,
}

/// How an acknowledged call came about.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Acknowledged {
    /// When the answer came.
    pub at: Instant,
    /// How often it was asked for.
    pub attempts: usize,
}

impl Client {
    /// Calls until it is acknowledged or refused, for at most two minutes.
    pub async fn call<M, R, F>(
        &self,
        message: M,
        call: impl Fn(Api, Request<M>) -> F,
    ) -> Result<(R, Acknowledged), Status>
    where
        M: Clone + Debug,
        R: Reply,
        F: Future<Output = Result<Response<R>, Status>>,
    {
        let deadline = Instant::now() + REPEATED_FOR;
        let mut pause = LOOK_AGAIN_EVERY;
        let mut attempts = 0;
        loop {
            attempts += 1;
            let turn = self.turn.fetch_add(1, Ordering::Relaxed);
            let side = self.sides.get(turn % self.sides.len().max(1));
            let side = side.ok_or_else(|| Status::internal("no instances"))?.clone();
            let mut request = Request::new(message.clone());
            request.set_timeout(ATTEMPT_WITHIN);
            let status = match timeout(ATTEMPT_WITHIN * 2, call(side, request)).await {
                Ok(Ok(reply)) => {
                    return Ok((reply.into_inner(), Acknowledged { at: Instant::now(), attempts }));
                }
                Ok(Err(status)) => status,
                Err(_) => Status::deadline_exceeded("no answer"),
            };
            let late = status.code() == Code::DeadlineExceeded;
            if !(late || may_retry(&status)) || Instant::now() > deadline {
                return Err(status);
            }
            sleep(pause).await;
            pause = (pause * 2).min(LONGEST_PAUSE);
        }
    }
}

/// Calls a method at any instance: `at_any!(client, intake.create_ticket, request)`. See [`Client::call`].
#[macro_export]
macro_rules! at_any {
    ($client:expr, $service:ident . $method:ident, $message:expr) => {
        $client.call($message, |api, request| {
            let mut client = api.$service.clone();
            async move { client.$method(request).await }
        })
    };
}
