//! What the faults are done to: three servers of NATS, two instances of each service behind proxies of their own, and
//! the workload.

use std::collections::BTreeMap;
use std::time::Duration;

use anyhow::{Context as _, ensure};
use runtime::{ServiceId, partition_of};
use tests::api::{Addresses, Api, LOOK_AGAIN_EVERY, until};
use tests::cluster::{At, Cluster, INSTANCES, PARTITIONS};
use tests::load::WORKSPACES;
use tests::nats::Nats;
use tests::process::Process;
use tests::proxy::{Mode, Proxy};
use tests::receiver::Receiver;
use tests::rest::rest;
use tests::story::{put_agent, put_hook};
use tests::{at_any, call};
use tokio::time::sleep;
use wire::admin::v1::PartitionStatus;
use wire::common::v1::Priority;
use wire::events::v1 as events;
use wire::intake::v1 as intake;
use wire::notify::v1 as notify;
use wire::sla::v1 as sla;

use crate::chaos::caller::Caller;
use crate::chaos::disks::Disks;
use crate::chaos::history::{Change, Recorder};
use crate::chaos::logs::{Logs, Marks};
use crate::chaos::rng::Rng;
use crate::chaos::workload::{AGENTS, Workload};

/// What webhooks tell of.
pub(crate) const HOOKED: [&str; 2] = ["TicketOpened", "OfferAccepted"];
/// How soon what has changed is saved: so that most starts begin from a snapshot.
const ENVIRONMENT: [(&str, &str); 2] =
    [("SWITCHYARD_METRICS_LISTEN", "127.0.0.1:0"), ("SWITCHYARD_SNAPSHOT_SECONDS", "4")];

/// The stage. Its disks go before the directory that they are mounted in.
#[derive(Debug)]
pub(crate) struct Stage {
    pub(crate) workload: Workload,
    pub(crate) disks: Disks,
    pub(crate) cluster: Cluster,
    pub(crate) receiver: Receiver,
    pub(crate) rng: Rng,
    /// What the logs held before the workload began.
    pub(crate) before: Marks,
    /// Between an instance and the log's servers.
    links: BTreeMap<String, Vec<Proxy>>,
    /// Between the workload and an instance.
    fronts: BTreeMap<String, Proxy>,
}

impl Stage {
    pub(crate) async fn set(seed: u64) -> anyhow::Result<Self> {
        let nats = Nats::start_cluster().await?;
        let mut links = BTreeMap::new();
        for at in At::all() {
            let mut of_instance = Vec::new();
            for address in nats.addresses() {
                of_instance.push(Proxy::start(address).await?);
            }
            links.insert(at.to_string(), of_instance);
        }
        let directory = tempfile::tempdir()?;
        let disks = Disks::mount(directory.path())?;
        let url = |at: At| {
            let of_instance = links.get(&at.to_string()).map_or(&[][..], Vec::as_slice);
            let urls = of_instance.iter().map(|proxy| format!("nats://{}", proxy.address()));
            urls.collect::<Vec<_>>().join(",")
        };
        let mut cluster = Cluster::start_in(directory, nats, url, &ENVIRONMENT).await?;
        let mut fronts = BTreeMap::new();
        for at in At::all() {
            let address = cluster.process(at)?.address().parse()?;
            fronts.insert(at.to_string(), Proxy::start(address).await?);
        }
        let receiver = Receiver::start().await?;
        let api = cluster.sides()?.into_iter().next().context("no instances")?;
        for workspace in WORKSPACES {
            settle(&cluster, &api, workspace, &receiver).await.context(workspace)?;
        }
        cluster.whole().await?;
        let before = Logs::read(&cluster.nats.url()).await?.marks();
        let caller = Caller::new(sides(&fronts)?, Recorder::new());
        let workload = Workload::start(caller, &cluster.client()?, seed);
        let rng = Rng::new(seed);
        Ok(Self { workload, disks, cluster, receiver, rng, before, links, fronts })
    }

    pub(crate) fn recorder(&self) -> &Recorder {
        &self.workload.caller().recorder
    }

    pub(crate) fn process(&mut self, at: At) -> anyhow::Result<&mut Process> {
        self.cluster.process(at)
    }

    /// How each partition of an instance stands.
    pub(crate) async fn status(&self, at: At) -> anyhow::Result<Vec<PartitionStatus>> {
        let sides = self.cluster.sides()?;
        let side = sides.get(at.instance).context("no such instance")?;
        Ok(side.status(at.service).await?)
    }

    /// Some service, some partition of it, and who leads that.
    pub(crate) async fn some_leader(&mut self) -> anyhow::Result<Led> {
        let service = self.rng.pick(&ServiceId::ALL).context("no services")?;
        self.some_leader_of(service).await
    }

    pub(crate) async fn some_leader_of(&mut self, service: ServiceId) -> anyhow::Result<Led> {
        let leaders = self.cluster.leaders(service).await?;
        let partition = self.rng.below(leaders.len());
        let leader = *leaders.get(partition).context("no such partition")?;
        let partition = u32::try_from(partition)?;
        let epoch = self.epoch(service, partition).await?;
        Ok(Led { leader, partition, epoch })
    }

    /// The latest epoch of a partition that any instance knows of.
    pub(crate) async fn epoch(&self, service: ServiceId, partition: u32) -> anyhow::Result<u64> {
        let mut latest = 0;
        for instance in 0..INSTANCES {
            // One that is down or frozen knows of none.
            let asked = self.status(At { service, instance });
            let asked = tokio::time::timeout(Duration::from_secs(1), asked).await;
            let Ok(Ok(partitions)) = asked else { continue };
            let of = partitions
                .iter()
                .filter(|it| it.position.as_ref().is_some_and(|at| at.partition == partition));
            latest = of.map(|it| it.epoch).chain([latest]).max().unwrap_or(0);
        }
        Ok(latest)
    }

    /// Waits until another than it did leads the partition, in a later epoch, and says in which.
    pub(crate) async fn taken_over(&self, from: Led) -> anyhow::Result<u64> {
        let service = from.leader.service;
        until("another leads", || async {
            let leaders = self.cluster.leaders(service).await?;
            let epoch = self.epoch(service, from.partition).await?;
            Ok((!leaders.contains(&from.leader) && epoch > from.epoch).then_some(epoch))
        })
        .await
    }

    /// The proxies between an instance and the log's servers.
    pub(crate) fn links(&self, at: At) -> &[Proxy] {
        self.links.get(&at.to_string()).map_or(&[], Vec::as_slice)
    }

    /// The proxy between the workload and an instance.
    pub(crate) fn front(&self, at: At) -> anyhow::Result<&Proxy> {
        self.fronts.get(&at.to_string()).context("no such instance")
    }

    /// Waits until so many more calls were acknowledged of which this holds.
    pub(crate) async fn more(
        &mut self,
        calls: usize,
        of: impl Fn(&Change) -> bool,
    ) -> anyhow::Result<()> {
        let wanted = self.recorder().count(&of) + calls;
        while self.recorder().count(&of) < wanted {
            self.workload.check()?;
            sleep(LOOK_AGAIN_EVERY * 2).await;
        }
        Ok(())
    }

    /// Waits until all is as it was: every copy of every log, a leader and a standby of each partition, and calls
    /// acknowledged in all.
    pub(crate) async fn whole(&mut self) -> anyhow::Result<()> {
        self.cluster.nats.whole(&streams()).await?;
        self.cluster.whole().await?;
        let since = self.recorder().now();
        for (service, workspace) in lanes() {
            let of = |it: &Change| {
                it.service == service && it.workspace == workspace && it.began.at >= since
            };
            while self.recorder().count(of) == 0 {
                self.workload.check()?;
                sleep(LOOK_AGAIN_EVERY * 2).await;
            }
        }
        Ok(())
    }

    /// Ends the workload, and waits until nothing is left to do.
    pub(crate) async fn rest(&mut self) -> anyhow::Result<()> {
        self.workload.stop().await?;
        let client = self.cluster.client()?;
        for workspace in WORKSPACES {
            until("no delivery is pending", || async {
                let list = notify::ListDeliveriesRequest {
                    workspace_id: workspace.to_owned(),
                    page_size: 1,
                    state: notify::DeliveryState::Pending.into(),
                    ..Default::default()
                };
                let (pending, _) = at_any!(client, notify.list_deliveries, list).await?;
                Ok(pending.deliveries.is_empty().then_some(()))
            })
            .await?;
        }
        rest(&self.cluster.sides()?).await
    }

    /// Lets everything pass again.
    pub(crate) fn pass(&self, at: At) {
        self.links(at).iter().for_each(|proxy| proxy.set(Mode::Pass));
    }
}

/// Who leads a partition.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Led {
    pub(crate) leader: At,
    pub(crate) partition: u32,
    pub(crate) epoch: u64,
}

impl Led {
    /// The workspaces that lie there.
    pub(crate) fn holds(self, change: &Change) -> bool {
        let partitions = u16::try_from(PARTITIONS).unwrap_or(u16::MAX);
        let its = u32::from(partition_of(&change.workspace, partitions));
        change.service == self.leader.service && its == self.partition
    }
}

/// Every workspace of every service.
pub(crate) fn lanes() -> impl Iterator<Item = (ServiceId, &'static str)> {
    ServiceId::ALL.into_iter().flat_map(|service| WORKSPACES.map(|workspace| (service, workspace)))
}

/// The streams of all logs.
pub(crate) fn streams() -> Vec<String> {
    let of = |service: ServiceId| {
        let name = service.name().to_ascii_uppercase();
        (0..PARTITIONS).map(move |partition| format!("SY_{name}_{partition:02}"))
    };
    ServiceId::ALL.into_iter().flat_map(of).collect()
}

fn sides(fronts: &BTreeMap<String, Proxy>) -> anyhow::Result<Vec<Api>> {
    let side = |instance| -> anyhow::Result<Api> {
        let at = |service| -> anyhow::Result<String> {
            let at = At { service, instance };
            Ok(fronts.get(&at.to_string()).context("no such instance")?.address().to_string())
        };
        Api::new(&Addresses {
            intake: at(ServiceId::Intake)?,
            routing: at(ServiceId::Routing)?,
            sla: at(ServiceId::Sla)?,
            notify: at(ServiceId::Notify)?,
        })
    };
    (0..INSTANCES).map(side).collect()
}

/// A workspace with a policy, agents who are there, and webhooks.
async fn settle(
    cluster: &Cluster,
    api: &Api,
    workspace: &str,
    receiver: &Receiver,
) -> anyhow::Result<()> {
    let put = intake::PutWorkspaceRequest {
        workspace: Some(intake::Workspace {
            workspace_id: workspace.to_owned(),
            default_priority: Priority::P3.into(),
            ..Default::default()
        }),
        request_id: tests::api::new_id(),
        expected_revision: 0,
    };
    let client = cluster.client()?;
    let (put, _) = at_any!(client, intake.put_workspace, put).await?;
    api.saw(&put.position);
    let target = sla::PolicyTarget {
        metric: events::ClockMetric::TotalResolution.into(),
        priority: Priority::P3.into(),
        within: Some(prost_types::Duration { seconds: 36_000, nanos: 0 }),
    };
    let put = sla::PutPolicyRequest {
        workspace_id: workspace.to_owned(),
        request_id: tests::api::new_id(),
        policy: Some(sla::Policy {
            policy_id: "hours".to_owned(),
            targets: vec![target],
            ..Default::default()
        }),
        expected_revision: 0,
    };
    call!(api, sla.put_policy, put).await.context("policy")?;
    for agent in 0..AGENTS {
        put_agent(api, workspace, &format!("agent-{agent}"), &["all"], 100).await?;
    }
    put_hook(api, workspace, receiver, &HOOKED).await?;
    ensure!(!api.status(ServiceId::Notify).await?.is_empty(), "notify has no partitions");
    Ok(())
}
