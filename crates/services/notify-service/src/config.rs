//! What an operator may set.

use serde::Deserialize;

/// The settings of notify.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Config {
    /// True: endpoints may be on loopback and private addresses, at any port, and there over http too. For development,
    /// and for installations whose receivers are inside. Default: false, public addresses over https at port 443 or
    /// 8443 alone.
    pub allow_private_endpoints: bool,
}
