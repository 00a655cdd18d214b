//! What a log's stream is called, and how it must be set up.

use std::collections::HashMap;
use std::time::Duration;

use async_nats::jetstream::stream::{
    Config, DiscardPolicy, Info, PersistenceMode, RetentionPolicy, StorageType,
};
use event_log::{LogName, OpenError, RECORD_MAX_BYTES};

use crate::NatsConfig;

const PREFIX_MAX_BYTES: usize = 64;
/// Where a stream remembers how many replicas it was made with.
const REPLICAS: &str = "switchyard.replicas";
/// Message ids are not used, so nothing needs to be remembered for long.
const DUPLICATE_WINDOW: Duration = Duration::from_secs(1);

pub(crate) fn check_prefix(prefix: &str) -> Result<(), OpenError> {
    let fits = |c: char| c.is_ascii_uppercase() || c.is_ascii_digit() || c == '_' || c == '-';
    if prefix.is_empty() || prefix.len() > PREFIX_MAX_BYTES || !prefix.chars().all(fits) {
        return Err(OpenError::BadName {
            name: prefix.to_owned(),
            reason: "a stream prefix is 1 to 64 upper-case letters, digits, '_' and '-'",
        });
    }
    Ok(())
}

/// Returns the stream's name, such as `SY_ROUTING_07`.
pub(crate) fn name(prefix: &str, log: &LogName) -> String {
    format!("{prefix}_{}_{:02}", log.service.to_ascii_uppercase(), log.partition)
}

/// Returns the stream's only subject, such as `sy.v1.routing.07`.
pub(crate) fn subject(prefix: &str, log: &LogName) -> String {
    format!("{}.v1.{}.{:02}", prefix.to_ascii_lowercase(), log.service, log.partition)
}

/// Returns the log that a stream of that name is for; none if it isn't one of this prefix.
pub(crate) fn parse(prefix: &str, stream: &str) -> Option<LogName> {
    let rest = stream.strip_prefix(prefix)?.strip_prefix('_')?;
    let (service, partition) = rest.rsplit_once('_')?;
    let log = LogName::new(service.to_ascii_lowercase(), partition.parse().ok()?);
    (log.check().is_ok() && name(prefix, &log) == stream).then_some(log)
}

/// Returns the set-up of a new stream.
pub(crate) fn config(config: &NatsConfig, log: &LogName) -> Config {
    let max_bytes = config.stream_max_bytes.and_then(|bytes| i64::try_from(bytes).ok());
    Config {
        name: name(&config.stream_prefix, log),
        subjects: vec![subject(&config.stream_prefix, log)],
        storage: StorageType::File,
        retention: RetentionPolicy::Limits,
        // The other policy makes room by forgetting history.
        discard: DiscardPolicy::New,
        max_bytes: max_bytes.unwrap_or(-1),
        max_messages: -1,
        max_messages_per_subject: -1,
        max_age: Duration::ZERO,
        num_replicas: config.replicas,
        duplicate_window: DUPLICATE_WINDOW,
        allow_direct: true,
        deny_delete: true,
        deny_purge: false,
        metadata: HashMap::from([
            ("switchyard.format".to_owned(), "1".to_owned()),
            (REPLICAS.to_owned(), config.replicas.to_string()),
        ]),
        ..Config::default()
    }
}

/// Says what about a stream would let it lose, reorder or invent records.
pub(crate) fn faults(config: &Config, subject: &str) -> Vec<String> {
    let rules = [
        (config.subjects == [subject], "it has other subjects"),
        (config.storage == StorageType::File, "it is not on disk"),
        (config.discard == DiscardPolicy::New, "it forgets old records when full"),
        (config.retention == RetentionPolicy::Limits, "it forgets records once they are read"),
        (config.max_age.is_zero(), "it forgets records by age"),
        (config.max_messages <= 0, "it is limited by count"),
        (config.max_messages_per_subject <= 0, "it is limited by count per subject"),
        (takes_any_record(config), "it refuses records of a size that is allowed"),
        (config.deny_delete, "single records can be deleted"),
        (!config.allow_rollup, "it can be rolled up"),
        (!config.sealed, "it is sealed"),
        (!config.no_ack, "it doesn't acknowledge"),
        (config.allow_direct, "its replicas can't be read"),
        (config.mirror.is_none() && config.sources.is_none(), "it is fed from other streams"),
        (config.subject_transform.is_none(), "it changes subjects"),
        (!config.allow_message_ttl, "records can expire"),
        (config.subject_delete_marker_ttl.is_none(), "the server can write markers to it"),
        (!config.allow_message_schedules, "the server can write to it by itself"),
        (!config.allow_message_counter, "it is a counter"),
        (!config.allow_atomic_publish, "it takes atomic batches, which confuse its fence"),
        (!config.allow_batch_publish, "it takes fast batches, which confuse its fence"),
        (config.persist_mode != Some(PersistenceMode::Async), "it acknowledges before it writes"),
    ];
    let mut faults: Vec<String> =
        rules.into_iter().filter(|(holds, _)| !holds).map(|(_, fault)| fault.to_owned()).collect();
    let made_with = config.metadata.get(REPLICAS).and_then(|made| made.parse::<usize>().ok());
    if let Some(made) = made_with.filter(|made| config.num_replicas < *made) {
        faults.push(format!("it was made with {made} replicas and has {}", config.num_replicas));
    }
    faults
}

fn takes_any_record(config: &Config) -> bool {
    usize::try_from(config.max_message_size).is_ok_and(|max| max == 0 || max > RECORD_MAX_BYTES)
        || config.max_message_size < 0
}

/// Says what about the only copy of a stream has lost records: no other copy has them.
pub(crate) fn losses(info: &Info) -> Option<String> {
    let lost = lacks_records(info) && info.config.num_replicas == 1;
    lost.then(|| "its only copy lacks records in the middle".to_owned())
}

fn lacks_records(info: &Info) -> bool {
    info.state.deleted_count.is_some_and(|count| count > 0)
}

/// Says what about a stream's copies asks for an operator.
pub(crate) fn warnings(info: &Info) -> Vec<String> {
    let mut warnings = Vec::new();
    if lacks_records(info) && info.config.num_replicas > 1 {
        warnings.push("its leader's copy lacks records in the middle".to_owned());
    }
    let Some(cluster) = &info.cluster else { return warnings };
    for copy in &cluster.replicas {
        if copy.offline {
            warnings.push(format!("its copy on {} is offline", copy.name));
        } else if !copy.current {
            warnings.push(format!("its copy on {} lags behind", copy.name));
        }
    }
    warnings
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_stream_is_named_after_its_log_and_back() {
        let log = LogName::new("routing", 7);
        assert_eq!(name("SY", &log), "SY_ROUTING_07");
        assert_eq!(subject("SY_D1", &log), "sy_d1.v1.routing.07");
        assert_eq!(parse("SY", "SY_ROUTING_07"), Some(log));
    }

    #[test]
    fn streams_of_another_prefix_or_form_are_not_ours() {
        for stream in
            ["SY_X_ROUTING_07", "SYX_ROUTING_07", "SY_ROUTING_7", "SY_routing_07", "SY_07"]
        {
            assert_eq!(parse("SY", stream), None, "{stream}");
        }
        for prefix in ["", "sy", "S.Y", "S*", "S>", "S Y"] {
            assert!(check_prefix(prefix).is_err(), "{prefix:?}");
        }
    }

    #[test]
    fn a_new_stream_has_no_fault_and_each_change_is_one() {
        let log = LogName::new("sla", 0);
        let good = config(&NatsConfig::new("nats://localhost"), &log);
        let subject = subject("SY", &log);
        assert_eq!(faults(&good, &subject), Vec::<String>::new());
        let changes: [fn(&mut Config); 19] = [
            |bad| bad.subjects.push("other".to_owned()),
            |bad| bad.storage = StorageType::Memory,
            |bad| bad.discard = DiscardPolicy::Old,
            |bad| bad.retention = RetentionPolicy::WorkQueue,
            |bad| bad.max_age = Duration::from_secs(1),
            |bad| bad.max_messages = 5,
            |bad| bad.max_messages_per_subject = 5,
            |bad| bad.max_message_size = 1000,
            |bad| bad.deny_delete = false,
            |bad| bad.allow_rollup = true,
            |bad| bad.no_ack = true,
            |bad| bad.allow_direct = false,
            |bad| bad.allow_message_ttl = true,
            |bad| bad.subject_delete_marker_ttl = Some(Duration::from_secs(1)),
            |bad| bad.allow_message_schedules = true,
            |bad| bad.allow_message_counter = true,
            |bad| bad.allow_atomic_publish = true,
            |bad| bad.allow_batch_publish = true,
            |bad| bad.persist_mode = Some(PersistenceMode::Async),
        ];
        for (number, change) in changes.into_iter().enumerate() {
            let mut bad = good.clone();
            change(&mut bad);
            assert_eq!(faults(&bad, &subject).len(), 1, "change {number}");
        }
    }

    #[test]
    fn replicas_that_were_asked_for_must_stay() {
        let log = LogName::new("sla", 0);
        let asked = NatsConfig { replicas: 3, ..NatsConfig::new("nats://localhost") };
        let subject = subject("SY", &log);
        let mut bad = config(&asked, &log);
        assert_eq!(faults(&bad, &subject), Vec::<String>::new());
        bad.num_replicas = 5;
        assert_eq!(faults(&bad, &subject), Vec::<String>::new());
        bad.num_replicas = 1;
        assert_eq!(faults(&bad, &subject), ["it was made with 3 replicas and has 1"]);
    }
}
