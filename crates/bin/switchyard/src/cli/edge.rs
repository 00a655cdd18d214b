//! What a server may hold for its callers at once.

use clap::Args;
use service_kit::{CONNECTIONS_MAX, Limits, SLOW_AFTER, UNSENT_BYTES_MAX, WATCHES_MAX};

const MIB: usize = 1024 * 1024;
/// How many MiB may wait for slow readers, unless told otherwise.
const UNSENT_MIB_MAX: usize = UNSENT_BYTES_MAX / MIB;

/// The limits of a server's edge, over all its callers.
#[derive(Debug, Clone, Args)]
#[expect(clippy::struct_field_names, reason = "the names are the flags'")]
pub(crate) struct Edge {
    /// How many connections are served at once; more are closed as they come
    #[arg(long, env = "SWITCHYARD_CONNECTIONS_MAX", value_name = "COUNT")]
    #[arg(default_value_t = CONNECTIONS_MAX, value_parser = at_least_one)]
    pub(crate) connections_max: usize,
    /// How many watches are served at once; more are refused
    #[arg(long, env = "SWITCHYARD_WATCHES_MAX", value_name = "COUNT")]
    #[arg(default_value_t = WATCHES_MAX, value_parser = at_least_one)]
    pub(crate) watches_max: usize,
    /// How many MiB may wait in memory for callers who read slowly, in all; the slowest are ended to stay below
    #[arg(long, env = "SWITCHYARD_UNSENT_MIB_MAX", value_name = "MIB")]
    #[arg(default_value_t = UNSENT_MIB_MAX, value_parser = at_least_one)]
    pub(crate) unsent_mib_max: usize,
}

impl Edge {
    /// The limits that a server takes.
    pub(crate) const fn limits(&self) -> Limits {
        Limits {
            connections: self.connections_max,
            watches: self.watches_max,
            unsent_bytes: self.unsent_mib_max.saturating_mul(MIB),
            slow_after: SLOW_AFTER,
        }
    }
}

impl Default for Edge {
    fn default() -> Self {
        Self {
            connections_max: CONNECTIONS_MAX,
            watches_max: WATCHES_MAX,
            unsent_mib_max: UNSENT_MIB_MAX,
        }
    }
}

fn at_least_one(text: &str) -> Result<usize, String> {
    match text.parse() {
        Ok(0) => Err("must be at least 1".to_owned()),
        Ok(count) => Ok(count),
        Err(error) => Err(error.to_string()),
    }
}
