//! Whether a service answers, and each of its partitions, as it changes: what `grpc.health.v1` says.

use std::sync::Arc;

use futures::StreamExt as _;
use futures::stream::select_all;
use runtime::{Health, Node, PartitionHandle, Service};
use tokio::sync::watch;
use tokio_stream::wrappers::WatchStream;

/// Whether a service answers, and each of its partitions.
///
/// A service answers if each of its partitions does, here or at an instance that is known to lead it. A partition that
/// has halted takes nothing from the others: the service answers as long as one of them does, and the halted one says
/// so under its own name.
#[derive(Debug, Clone)]
pub struct Readiness {
    pub(crate) service: watch::Receiver<bool>,
    /// By name: `intake/3`.
    pub(crate) partitions: Vec<(String, watch::Receiver<bool>)>,
}

impl Readiness {
    /// That of a node's partitions, followed for as long as the node is there.
    pub fn of<S: Service>(node: &Node<S>) -> Self {
        let (ready, service) = watch::channel(false);
        let all: Arc<[PartitionHandle<S>]> = node.partitions().into();
        let (mut senders, mut partitions) = (Vec::new(), Vec::new());
        for partition in &*all {
            let (sender, receiver) = watch::channel(false);
            senders.push(sender);
            partitions.push((format!("{}/{}", S::ID, partition.id()), receiver));
        }
        let changes = all.iter().map(|one| WatchStream::new(one.watch_health()));
        let mut changes = select_all(changes);
        tokio::spawn(async move {
            while changes.next().await.is_some() {
                let health: Vec<Health> = all.iter().map(PartitionHandle::health).collect();
                for (sender, health) in senders.iter().zip(&health) {
                    sender.send_replace(health.is_serving());
                }
                ready.send_replace(answers(&health));
            }
        });
        Self { service, partitions }
    }
}

impl From<watch::Receiver<bool>> for Readiness {
    /// That of a service without partitions.
    fn from(service: watch::Receiver<bool>) -> Self {
        Self { service, partitions: Vec::new() }
    }
}

/// Whether a service with such partitions answers.
fn answers(partitions: &[Health]) -> bool {
    partitions.iter().any(Health::is_serving)
        && partitions.iter().all(|health| health.is_serving() || health.is_halted())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_halted_partition_takes_nothing_from_the_others() {
        let halted = || Health::Halted("its log is in doubt".to_owned());
        let led_elsewhere = || Health::Standby { leader: Some("10.0.0.7:7401".to_owned()) };
        assert!(answers(&[Health::Ready, led_elsewhere()]));
        assert!(answers(&[halted(), Health::Ready]));
        assert!(!answers(&[halted(), halted()]));
        assert!(!answers(&[]));
        for passing in [Health::Starting, Health::LogUnavailable, Health::LogFull] {
            assert!(!answers(&[Health::Ready, passing.clone()]), "{passing:?}");
            assert!(!answers(&[halted(), passing.clone()]), "{passing:?}");
        }
    }
}
