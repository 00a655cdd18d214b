//! `switchyard healthcheck`: for containers and supervisors.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::time::Duration;

use anyhow::Result;
use tonic_health::pb::HealthCheckRequest;
use tonic_health::pb::health_check_response::ServingStatus;
use tonic_health::pb::health_client::HealthClient;

use crate::cli::Healthcheck;
use crate::client::Client;
use crate::out;

/// Where `up` listens unless told otherwise.
const DEFAULT_ADDRESS: &str = "127.0.0.1:7400";

/// Asks `grpc.health.v1`, and fails unless the server serves.
pub(crate) async fn run(settings: Healthcheck) -> Result<()> {
    let address = settings
        .address
        .filter(|address| !address.is_empty())
        .or_else(|| settings.listen.map(|listen| reachable(listen).to_string()))
        .unwrap_or_else(|| DEFAULT_ADDRESS.to_owned());
    let deadline = Duration::from_secs(settings.timeout);
    let ask = async {
        let client = Client::connect(&address, deadline).await?;
        let request = HealthCheckRequest { service: String::new() };
        let reply = HealthClient::new(client.channel()).check(request).await?;
        anyhow::Ok(reply.into_inner().status())
    };
    let Ok(status) = tokio::time::timeout(deadline, ask).await else {
        return Err(tonic::Status::deadline_exceeded(format!("{address} does not answer")).into());
    };
    match status? {
        ServingStatus::Serving => out::line(&format!("{address} is serving")),
        ServingStatus::Unknown | ServingStatus::NotServing | ServingStatus::ServiceUnknown => {
            Err(tonic::Status::unavailable(format!("{address} is not serving")).into())
        }
    }
}

/// A server that listens on every address is reached on this machine's own.
fn reachable(listen: SocketAddr) -> SocketAddr {
    let ip = match listen.ip() {
        IpAddr::V4(ip) if ip.is_unspecified() => Ipv4Addr::LOCALHOST.into(),
        IpAddr::V6(ip) if ip.is_unspecified() => Ipv6Addr::LOCALHOST.into(),
        ip @ (IpAddr::V4(_) | IpAddr::V6(_)) => ip,
    };
    SocketAddr::new(ip, listen.port())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_server_on_every_address_is_asked_on_loopback() {
        assert_eq!(reachable("0.0.0.0:7401".parse().unwrap()).to_string(), "127.0.0.1:7401");
        assert_eq!(reachable("[::]:7401".parse().unwrap()).to_string(), "[::1]:7401");
        assert_eq!(reachable("10.0.0.7:7401".parse().unwrap()).to_string(), "10.0.0.7:7401");
    }
}
