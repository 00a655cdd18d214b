//! `PutEndpoint`.

use std::ops::RangeInclusive;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use kernel::{EndpointId, WorkspaceId};
use notify::{Address, PutEndpoint, Secret, State};
use service_kit::{Fields, Refusal, internal};
use tonic::Status;
use wire::notify::v1::{Endpoint, PutEndpointRequest, PutEndpointResponse};

use crate::effects::check_url;

const PREFIX: &str = "whsec_";
const SECRET_BYTES: RangeInclusive<usize> = 24..=64;
const FRESH_BYTES: usize = 32;

pub(super) fn parse(
    request: &PutEndpointRequest,
    allow_private: bool,
) -> Result<(WorkspaceId, PutEndpoint), Status> {
    let fresh = fresh_secret()?;
    Ok(parse_with(request, allow_private, fresh)?)
}

fn parse_with(
    request: &PutEndpointRequest,
    allow_private: bool,
    fresh: Secret,
) -> Result<(WorkspaceId, PutEndpoint), Refusal> {
    let mut fields = Fields::new();
    let workspace = fields.id("workspace_id", &request.workspace_id);
    fields.request_id(&request.request_id);
    let unset = Endpoint::default();
    let endpoint = request.endpoint.as_ref().unwrap_or(&unset);
    fields.require(request.endpoint.is_some(), "endpoint", "must be set");
    let url = check_url(&endpoint.url, allow_private);
    let url = fields.take("endpoint.url", url);
    let good = endpoint.secret.is_empty() || is_secret(&endpoint.secret);
    fields.require(good, "endpoint.secret", "must be `whsec_` and base64 of 24 to 64 bytes");
    let put = PutEndpoint {
        endpoint: fields.id("endpoint.endpoint_id", &endpoint.endpoint_id),
        url: Address::new(url.map_or_else(String::new, String::from)),
        secret: (!endpoint.secret.is_empty()).then(|| Secret::new(&endpoint.secret)),
        fresh,
        disabled: endpoint.disabled,
        at_most_once: endpoint.at_most_once,
        expected_revision: request.expected_revision,
    };
    fields.finish()?;
    Ok((workspace, put))
}

fn is_secret(text: &str) -> bool {
    let key = text.strip_prefix(PREFIX).and_then(|text| STANDARD.decode(text).ok());
    key.is_some_and(|key| SECRET_BYTES.contains(&key.len()))
}

fn fresh_secret() -> Result<Secret, Status> {
    let mut key = [0; FRESH_BYTES];
    let random = rustls::crypto::ring::default_provider().secure_random;
    random.fill(&mut key).map_err(|_| internal(&NoRandomness))?;
    Ok(Secret::new(format!("{PREFIX}{}", STANDARD.encode(key))))
}

#[derive(Debug, thiserror::Error)]
#[error("the host gives no randomness")]
struct NoRandomness;

/// The secret is shown only by the call that made it, and by that call's repetitions.
pub(super) fn reply(
    state: &State,
    workspace: &WorkspaceId,
    endpoint: &EndpointId,
    fresh: &Secret,
) -> PutEndpointResponse {
    let endpoint = state.workspace(workspace).and_then(|it| it.endpoint(endpoint));
    let Some(endpoint) = endpoint else { return PutEndpointResponse::default() };
    let made = endpoint.secrets.first() == Some(fresh);
    PutEndpointResponse {
        revision: endpoint.revision,
        secret: if made { fresh.expose().to_owned() } else { String::new() },
        position: String::new(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn request(endpoint: Endpoint) -> PutEndpointRequest {
        let endpoint = Some(Endpoint { endpoint_id: "hook".into(), ..endpoint });
        PutEndpointRequest { workspace_id: "acme".into(), endpoint, ..Default::default() }
    }

    #[test]
    fn secrets_have_their_form_and_fresh_ones_too() {
        let fresh = fresh_secret().unwrap();
        assert!(is_secret(fresh.expose()));
        assert_ne!(fresh, fresh_secret().unwrap());
        for bad in ["", "whsec_", "whsec_c2hvcnQ=", "MDEyMzQ1Njc4OTAxMjM0NTY3ODkwMTIz", "whsec_%%"]
        {
            assert!(!is_secret(bad), "{bad}");
        }
        assert!(!is_secret(&format!("whsec_{}", STANDARD.encode([0; 65]))));
    }

    #[test]
    fn every_bad_field_is_named_and_no_secret_is_repeated() {
        let bad = Endpoint {
            url: "http://169.254.169.254/".into(),
            secret: "whsec_short".into(),
            ..Endpoint::default()
        };
        let bad = PutEndpointRequest { request_id: "\n".into(), ..request(bad) };
        let refusal = parse_with(&bad, false, Secret::new("x")).unwrap_err();
        for field in ["request_id", "endpoint.url", "endpoint.secret"] {
            assert!(refusal.message().contains(field), "{}", refusal.message());
        }
        assert!(!format!("{refusal:?}").contains("short"));
        let good = Endpoint { url: "https://hooks.example/a".into(), ..Endpoint::default() };
        let (_, put) = parse_with(&request(good), false, Secret::new("x")).unwrap();
        assert_eq!(put.secret, None);
    }
}
