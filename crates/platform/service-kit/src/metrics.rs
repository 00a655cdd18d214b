//! What a Prometheus server reads: every partition's figures under their public names. A label holds a service, a
//! partition or a word of ours, never a workspace or anything a customer wrote.

mod endpoint;

use std::collections::BTreeMap;
use std::fmt;
use std::sync::Arc;

use prometheus_client::collector::Collector;
use prometheus_client::encoding::text::encode;
use prometheus_client::encoding::{DescriptorEncoder, EncodeMetric};
use prometheus_client::metrics::MetricType;
use prometheus_client::metrics::counter::ConstCounter;
use prometheus_client::metrics::gauge::ConstGauge;
use prometheus_client::registry::Registry;
use runtime::metrics::{Counted, Invariant, Metrics, OfInput, OfInvariant, OfOutcome, Outcome};
use runtime::{Clock, Health, Position, ServiceId, TimeDoubt};

use crate::AdminSource;
use crate::server::EdgeMetrics;

pub use endpoint::serve;

/// The form in which [`Scrape::text`] is written.
pub const CONTENT_TYPE: &str = "application/openmetrics-text; version=1.0.0; charset=utf-8";

/// Reads the figures of a process's services.
#[derive(Debug, Clone)]
pub struct Scrape {
    sources: Arc<[Arc<dyn AdminSource>]>,
    clock: Clock,
    edge: EdgeMetrics,
}

impl Scrape {
    /// Over these services, which share this clock and are served at this edge.
    pub fn new(
        sources: impl IntoIterator<Item = Arc<dyn AdminSource>>,
        clock: Clock,
        edge: EdgeMetrics,
    ) -> Self {
        Self { sources: sources.into_iter().collect(), clock, edge }
    }

    /// All figures as they are now. Asks no leader, so a log that stalls keeps nobody waiting.
    pub fn text(&self) -> Result<String, fmt::Error> {
        let figures = Figures {
            partitions: self.sources.iter().flat_map(|source| source.figures()).collect(),
            counted: self.sources.iter().flat_map(|source| source.counted()).collect(),
            clock_doubtful: self.clock.doubt().is_some(),
            edge: self.edge.clone(),
        };
        let mut registry = Registry::with_prefix("switchyard");
        registry.register_collector(Box::new(figures));
        let mut text = String::new();
        encode(&mut text, &registry)?;
        Ok(text)
    }
}

/// One partition at one moment.
#[derive(Debug)]
pub struct PartitionFigures {
    /// Whose.
    pub service: ServiceId,
    /// Its number.
    pub partition: u16,
    /// Its condition.
    pub health: Health,
    /// The last record applied.
    pub head: Position,
    /// The leader's epoch.
    pub epoch: u64,
    /// The last record of each input that was applied.
    pub inputs: Vec<Position>,
    /// Something is due that can't be confirmed.
    pub unconfirmed: bool,
    /// What speaks against its time.
    pub time_doubts: Vec<TimeDoubt>,
    /// The record that its newest snapshot stands for.
    pub snapshot: u64,
    /// What it has counted.
    pub metrics: Metrics,
}

const STATES: [&str; 8] = [
    "starting",
    "ready",
    "log_unavailable",
    "log_full",
    "standby",
    "stepped_down",
    "halted",
    "draining",
];

const fn state(health: &Health) -> &'static str {
    match health {
        Health::Starting => "starting",
        Health::Ready => "ready",
        Health::LogUnavailable => "log_unavailable",
        Health::LogFull => "log_full",
        Health::Standby { .. } => "standby",
        Health::SteppedDown => "stepped_down",
        Health::Halted(_) => "halted",
        Health::Draining => "draining",
    }
}

#[derive(Debug)]
struct Figures {
    partitions: Vec<PartitionFigures>,
    counted: Vec<Counted>,
    clock_doubtful: bool,
    edge: EdgeMetrics,
}

type Labels = Vec<(&'static str, String)>;

fn labels(one: &PartitionFigures) -> Labels {
    vec![("service", one.service.to_string()), ("partition", one.partition.to_string())]
}

fn with(one: &PartitionFigures, name: &'static str, value: &str) -> Labels {
    let mut labels = labels(one);
    labels.push((name, value.to_owned()));
    labels
}

fn number(value: u64) -> i64 {
    i64::try_from(value).unwrap_or(i64::MAX)
}

impl Collector for Figures {
    fn encode(&self, mut encoder: DescriptorEncoder<'_>) -> Result<(), fmt::Error> {
        let encoder = &mut encoder;
        self.gauges(encoder)?;
        self.counters(encoder)?;
        self.by_word(encoder)?;
        self.of_edge(encoder)?;
        let mut histogram = encoder.encode_descriptor(
            "log_append_seconds",
            "How long an acknowledged append took",
            None,
            MetricType::Histogram,
        )?;
        for one in &self.partitions {
            let labels = labels(one);
            one.metrics.append_seconds.encode(histogram.encode_family(&labels)?)?;
        }
        single(
            encoder,
            "filters_stopped",
            "Evaluations of a filter that took more steps than it may, and so counted as false",
            &ConstCounter::new(rules::exceeded()),
        )?;
        single(
            encoder,
            "clock_doubtful",
            "1: the wall clock parted from the time since boot, and timers hold",
            &ConstGauge::new(i64::from(self.clock_doubtful)),
        )
    }
}

impl Figures {
    fn gauges(&self, encoder: &mut DescriptorEncoder<'_>) -> Result<(), fmt::Error> {
        type Gauge = (&'static str, &'static str, fn(&PartitionFigures) -> i64);
        let gauges: [Gauge; 10] = [
            ("log_head_seq", "The last record applied", |one| number(one.head.seq)),
            ("lease_epoch", "The leader's epoch, as this process knows it", |one| {
                number(one.epoch)
            }),
            ("lease_held", "1: this process leads", |one| i64::from(one.health.is_ready())),
            (
                "timers_unconfirmed",
                "1: something is due, and the inputs' heads can't be had",
                |one| i64::from(one.unconfirmed),
            ),
            ("log_quarantined", "Inputs set aside", |one| one.metrics.parked.get()),
            ("idempotency_requests", "Requests remembered", |one| one.metrics.requests.get()),
            (
                "idempotency_horizon_seconds",
                "The instant before which a request may have been forgotten, in seconds since 1970",
                |one| one.metrics.request_horizon_ms.get() / 1000,
            ),
            (
                "invariants_checked_seq",
                "The last record over which invariants were checked",
                |one| one.metrics.checked_seq.get(),
            ),
            ("invariants_checked_since_seq", "The record after which that check began", |one| {
                one.metrics.checked_since.get()
            }),
            ("snapshot_seq", "The record that the newest snapshot stands for", |one| {
                number(one.snapshot)
            }),
        ];
        for (name, help, of) in gauges {
            gauge(encoder, name, help, self.partitions.iter().map(|one| (labels(one), of(one))))?;
        }
        let states = self.partitions.iter().flat_map(|one| {
            let now = state(&one.health);
            STATES.map(|state| (with(one, "state", state), i64::from(state == now)))
        });
        gauge(encoder, "partition_state", "1: it is in this state", states)?;
        let held = self.partitions.iter().map(|one| {
            let held = one.time_doubts.iter().any(|doubt| doubt.holds_timers());
            (labels(one), i64::from(held))
        });
        gauge(encoder, "timers_held", "1: its time is in doubt, and timers hold", held)?;
        let waiting = self.partitions.iter().flat_map(|one| {
            // The very first record of an input may be one that waits.
            let known = one.inputs.iter().map(|input| (input.service, 0));
            let waits = one.time_doubts.iter().filter_map(|doubt| doubt.input());
            let all: BTreeMap<_, _> = known.chain(waits.map(|input| (input, 1))).collect();
            all.into_iter().map(|(input, waits)| (with(one, "input", input.name()), waits))
        });
        let help = "1: records of this input are ahead of the time here, and wait";
        gauge(encoder, "inputs_held", help, waiting)?;
        let applied = self.partitions.iter().flat_map(|one| {
            let inputs = one.inputs.iter();
            inputs.map(|input| (with(one, "input", input.service.name()), number(input.seq)))
        });
        gauge(encoder, "log_applied_seq", "The last record of an input applied", applied)?;
        let lag = self.partitions.iter().flat_map(|one| {
            one.inputs.iter().map(|input| {
                let lag = one.metrics.lag.get_or_create(&OfInput { input: input.service.name() });
                (with(one, "input", input.service.name()), lag.get())
            })
        });
        gauge(encoder, "log_lag_events", "Records of an input that were not read yet", lag)
    }

    fn counters(&self, encoder: &mut DescriptorEncoder<'_>) -> Result<(), fmt::Error> {
        type Count = (&'static str, &'static str, fn(&Metrics) -> u64);
        let counters: [Count; 12] = [
            ("log_commits", "Commits written", |metrics| metrics.commits.get()),
            ("log_events", "Events written", |metrics| metrics.events.get()),
            ("log_bytes", "Bytes written", |metrics| metrics.bytes.get()),
            ("log_gap", "Times a log had lost a record, or its end", |metrics| metrics.gaps.get()),
            ("log_hash_mismatch", "Records that were not the ones written", |metrics| {
                metrics.chain_breaks.get()
            }),
            ("log_repaired", "Records that one copy had lost and another had", |metrics| {
                metrics.repaired.get()
            }),
            ("log_redelivered", "Records that came again and were dropped", |metrics| {
                metrics.redelivered.get()
            }),
            ("log_reader_restarts", "Readers that had stalled", |metrics| {
                metrics.reader_restarts.get()
            }),
            ("fencing_rejected", "Appends that the fence refused", |metrics| {
                metrics.appends.get_or_create(&OfOutcome { outcome: Outcome::Fenced }).get()
            }),
            (
                "invariants_records_skipped",
                "Records over which invariants were not checked, since there were too many",
                |metrics| metrics.checks_skipped.get(),
            ),
            ("snapshot_failures", "Snapshots that could not be saved", |metrics| {
                metrics.snapshot_failures.get()
            }),
            ("snapshot_rejected", "Snapshots that were set aside", |metrics| {
                metrics.snapshots_set_aside.get()
            }),
        ];
        for (name, help, of) in counters {
            let each = self.partitions.iter().map(|one| (labels(one), of(&one.metrics)));
            counter(encoder, name, help, each)?;
        }
        Ok(())
    }

    fn of_edge(&self, encoder: &mut DescriptorEncoder<'_>) -> Result<(), fmt::Error> {
        for (name, help, value) in self.edge.gauges() {
            single(encoder, name, help, &ConstGauge::new(value))?;
        }
        for (name, help, count) in self.edge.counters() {
            single(encoder, name, help, &ConstCounter::new(count))?;
        }
        Ok(())
    }

    fn by_word(&self, encoder: &mut DescriptorEncoder<'_>) -> Result<(), fmt::Error> {
        let appends = self.partitions.iter().flat_map(|one| {
            Outcome::ALL.map(|outcome| {
                let count = one.metrics.appends.get_or_create(&OfOutcome { outcome }).get();
                (with(one, "outcome", outcome.word()), count)
            })
        });
        counter(encoder, "log_appends", "Attempts to append, by their end", appends)?;
        let violations = self.partitions.iter().flat_map(|one| {
            Invariant::ALL.map(|invariant| {
                let of = OfInvariant { invariant };
                let count = one.metrics.violations.get_or_create(&of).get();
                (with(one, "invariant", invariant.number()), count)
            })
        });
        counter(encoder, "invariant_violations", "Invariants found violated", violations)?;
        let mut by_name: BTreeMap<&str, Vec<&Counted>> = BTreeMap::new();
        for counted in &self.counted {
            by_name.entry(counted.name).or_default().push(counted);
        }
        for (name, all) in by_name {
            let help = all.first().map_or("", |counted| counted.help);
            let each = all
                .iter()
                .map(|counted| (vec![(counted.label, counted.word.to_owned())], counted.count));
            counter(encoder, name, help, each)?;
        }
        Ok(())
    }
}

fn gauge(
    encoder: &mut DescriptorEncoder<'_>,
    name: &str,
    help: &str,
    rows: impl IntoIterator<Item = (Labels, i64)>,
) -> Result<(), fmt::Error> {
    let mut metric = encoder.encode_descriptor(name, help, None, MetricType::Gauge)?;
    for (labels, value) in rows {
        ConstGauge::new(value).encode(metric.encode_family(&labels)?)?;
    }
    Ok(())
}

fn counter(
    encoder: &mut DescriptorEncoder<'_>,
    name: &str,
    help: &str,
    rows: impl IntoIterator<Item = (Labels, u64)>,
) -> Result<(), fmt::Error> {
    let mut metric = encoder.encode_descriptor(name, help, None, MetricType::Counter)?;
    for (labels, value) in rows {
        ConstCounter::new(value).encode(metric.encode_family(&labels)?)?;
    }
    Ok(())
}

/// A figure of the whole process: it has no labels, and so no braces either.
fn single(
    encoder: &mut DescriptorEncoder<'_>,
    name: &str,
    help: &str,
    value: &impl EncodeMetric,
) -> Result<(), fmt::Error> {
    let metric = encoder.encode_descriptor(name, help, None, value.metric_type())?;
    value.encode(metric)
}
