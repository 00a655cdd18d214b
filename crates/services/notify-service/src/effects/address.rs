//! Where a webhook may go: what an address is, and what a URL may say.
//!
//! Who can put an endpoint could else have this service call whatever it can reach: metadata services, databases,
//! itself.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use reqwest::Url;

/// The longest URL, in bytes.
const URL_MAX: usize = 2_048;
const PUBLIC_PORTS: [u16; 2] = [443, 8443];

/// What can be reached at an address.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Reach {
    /// Anyone's.
    Public,
    /// This host's or its owner's: loopback, private and shared ranges.
    Private,
    /// Nobody's that should be called: link-local (metadata services), multicast, reserved, translated.
    Never,
}

impl Reach {
    pub(crate) fn of(address: IpAddr) -> Self {
        match address {
            IpAddr::V4(address) => v4(address),
            IpAddr::V6(address) => v6(address),
        }
    }

    /// Whether a webhook may go there.
    pub(crate) const fn is_allowed(self, allow_private: bool) -> bool {
        match self {
            Self::Public => true,
            Self::Private => allow_private,
            Self::Never => false,
        }
    }
}

fn v4(address: Ipv4Addr) -> Reach {
    match address.octets() {
        [10 | 127, ..] | [172, 16..=31, ..] | [192, 168, ..] | [100, 64..=127, ..] => {
            Reach::Private
        }
        [0 | 224..=255, ..]
        | [169, 254, ..]
        | [192, 0, 0 | 2, _]
        | [192, 88, 99, _]
        | [198, 18..=19, ..]
        | [198, 51, 100, _]
        | [203, 0, 113, _] => Reach::Never,
        _ => Reach::Public,
    }
}

fn v6(address: Ipv6Addr) -> Reach {
    if address == Ipv6Addr::LOCALHOST {
        return Reach::Private;
    }
    match address.segments() {
        [0xfc00..=0xfdff, ..] => Reach::Private,
        // Documentation, benchmarks, Teredo and other special assignments; 6to4.
        [0x2001, 0x0000..=0x01ff | 0x0db8, ..] | [0x2002 | 0x3fff, ..] => Reach::Never,
        // Of all else only the global unicast range is anyone's: not mapped or translated v4, link-local, multicast,
        // discard, …
        [0x2000..=0x3fff, ..] => Reach::Public,
        _ => Reach::Never,
    }
}

/// Why a URL can't be an endpoint's.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub(crate) enum UrlRefused {
    /// It is too long.
    #[error("must have at most 2048 characters")]
    TooLong,
    /// It can't be read.
    #[error("must be an https URL")]
    Malformed,
    /// It has another scheme.
    #[error("must be an https URL; http only with --allow-private-endpoints")]
    Scheme,
    /// It carries a name or password.
    #[error("must not contain a user name or password")]
    Credentials,
    /// It carries a fragment.
    #[error("must not contain a fragment")]
    Fragment,
    /// It has another port.
    #[error("must use port 443 or 8443, unless the server runs with --allow-private-endpoints")]
    Port,
    /// Its address isn't public.
    #[error(
        "must not be a private, local or reserved address, unless the server runs with --allow-private-endpoints"
    )]
    Address,
}

/// Reads a URL and checks all that can be told without a look-up.
pub(crate) fn check_url(text: &str, allow_private: bool) -> Result<Url, UrlRefused> {
    if text.len() > URL_MAX {
        return Err(UrlRefused::TooLong);
    }
    let url = Url::parse(text).map_err(|_| UrlRefused::Malformed)?;
    match url.scheme() {
        "https" => {}
        "http" if allow_private => {}
        _ => return Err(UrlRefused::Scheme),
    }
    if !url.username().is_empty() || url.password().is_some() {
        return Err(UrlRefused::Credentials);
    }
    if url.fragment().is_some() {
        return Err(UrlRefused::Fragment);
    }
    let port = url.port_or_known_default().unwrap_or(0);
    if !allow_private && !PUBLIC_PORTS.contains(&port) {
        return Err(UrlRefused::Port);
    }
    let host = url.host_str().filter(|host| !host.is_empty()).ok_or(UrlRefused::Malformed)?;
    if let Some(reach) = literal(host).map(Reach::of) {
        let plain_to_public = url.scheme() == "http" && reach == Reach::Public;
        if plain_to_public || !reach.is_allowed(allow_private) {
            return Err(UrlRefused::Address);
        }
    }
    Ok(url)
}

/// The address that a host's text is, if it is one. URLs have normalised forms like `0x7f.1` before.
fn literal(host: &str) -> Option<IpAddr> {
    host.trim_start_matches('[').trim_end_matches(']').parse().ok()
}

#[cfg(test)]
mod tests;
