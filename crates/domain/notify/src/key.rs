//! A delivery's stable key: the same cause, rule and target give the same one, whoever computes it and whenever.

use kernel::{DeliveryId, RuleId, WorkspaceId};

use crate::{Cause, Target};

/// The key: hex of BLAKE3 over all that makes a delivery the one it is. Step and repetition are those of an escalation;
/// 0 for now.
pub(crate) fn delivery_id(
    workspace: &WorkspaceId,
    cause: Cause,
    (rule, version): (&RuleId, u32),
    target: &Target,
) -> DeliveryId {
    let (recipient, endpoint) = match target {
        Target::Webhook(endpoint) => (String::new(), endpoint.as_str()),
        Target::InApp(recipient) => (recipient.to_string(), ""),
    };
    let mut hasher = blake3::Hasher::new_derive_key("switchyard notify delivery v1");
    let Cause { service, partition, seq, index } = cause;
    for number in [u64::from(service), u64::from(partition), seq, u64::from(index)] {
        hasher.update(&number.to_be_bytes());
    }
    hasher.update(&version.to_be_bytes());
    for text in [workspace.as_str(), rule.as_str(), &recipient, endpoint] {
        // None of them can hold a zero byte, so the ends are unmistakable.
        hasher.update(text.as_bytes()).update(&[0]);
    }
    let (step, repetition) = ([0; 4], [0; 4]);
    hasher.update(&step).update(&repetition);
    DeliveryId::trusted(hasher.finalize().to_hex().as_str())
}
