//! `PutEndpoint`.

use std::ops::RangeInclusive;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use kernel::{EndpointId, WorkspaceId};
use notify::{Address, PutEndpoint, SealedSecret, State};
use service_kit::{Fields, Refusal, internal};
use tonic::Status;
use wire::common::v1::ErrorReason;
use wire::events::v1::EndpointPutReply;
use wire::notify::v1::{Endpoint, PutEndpointRequest, PutEndpointResponse};
use zeroize::Zeroizing;

use crate::effects::check_url;
use crate::secrets::{Secret, random};
use crate::{Keys, codec};

const PREFIX: &str = "whsec_";
const SECRET_BYTES: RangeInclusive<usize> = 24..=64;
const FRESH_BYTES: usize = 32;

/// Reads the call. What it says of secrets is sealed here: nothing behind this knows them in clear.
pub(super) fn parse(
    request: &PutEndpointRequest,
    allow_private: bool,
    keys: &Keys,
) -> Result<(WorkspaceId, PutEndpoint), Status> {
    let fresh = fresh_secret()?;
    Ok(parse_with(request, allow_private, keys, fresh.expose())?)
}

fn parse_with(
    request: &PutEndpointRequest,
    allow_private: bool,
    keys: &Keys,
    fresh: &str,
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
    let endpoint_id: EndpointId = fields.id("endpoint.endpoint_id", &endpoint.endpoint_id);
    fields.finish()?;
    let given = endpoint.secret.as_str();
    let given = (!given.is_empty())
        .then(|| keys.seal_given(&workspace, &endpoint_id, given).ok_or_else(no_key))
        .transpose()?;
    let put = PutEndpoint {
        url: Address::new(url.map_or_else(String::new, String::from)),
        secret: given,
        fresh: keys.seal(&workspace, &endpoint_id, fresh).ok_or_else(no_key)?,
        endpoint: endpoint_id,
        disabled: endpoint.disabled,
        at_most_once: endpoint.at_most_once,
        expected_revision: request.expected_revision,
    };
    Ok((workspace, put))
}

fn is_secret(text: &str) -> bool {
    let key = text.strip_prefix(PREFIX).and_then(|text| STANDARD.decode(text).ok());
    key.is_some_and(|key| SECRET_BYTES.contains(&key.len()))
}

fn fresh_secret() -> Result<Secret, Status> {
    let mut key = Zeroizing::new([0; FRESH_BYTES]);
    random(&mut *key).map_err(|error| internal(&error))?;
    let key = Zeroizing::new(STANDARD.encode(*key));
    Ok(Secret::new(format!("{PREFIX}{}", *key)))
}

fn no_key() -> Refusal {
    Refusal::of(ErrorReason::SecretKeyMissing, "the key of endpoints' secrets is not here")
}

/// What is remembered of the answer. The secret is shown only by the call that made it, and by that call's
/// repetitions, and it is remembered sealed.
pub(super) fn reply(
    state: &State,
    workspace: &WorkspaceId,
    endpoint: &EndpointId,
    fresh: &SealedSecret,
) -> EndpointPutReply {
    let endpoint = state.workspace(workspace).and_then(|it| it.endpoint(endpoint));
    let Some(endpoint) = endpoint else { return EndpointPutReply::default() };
    let made = endpoint.secrets.first().filter(|first| *first == fresh);
    EndpointPutReply { revision: endpoint.revision, made: made.map(codec::sealed_secret) }
}

/// What a caller is shown.
pub(super) struct Shown {
    keys: Keys,
    workspace: WorkspaceId,
    endpoint: EndpointId,
}

impl Shown {
    pub(super) fn new(keys: Keys, workspace: &WorkspaceId, endpoint: &EndpointId) -> Self {
        Self { keys, workspace: workspace.clone(), endpoint: endpoint.clone() }
    }

    /// The answer, its secret in clear.
    pub(super) fn reply(
        self,
        reply: EndpointPutReply,
        position: String,
    ) -> Result<PutEndpointResponse, Status> {
        let EndpointPutReply { revision, made } = reply;
        let open = |made| {
            let made = codec::sealed_secret_of(made);
            self.keys.open(&self.workspace, &self.endpoint, &made).map_err(|_| no_key())
        };
        let secret = made.map(open).transpose()?;
        let secret = secret.map_or_else(String::new, |secret| secret.expose().to_owned());
        Ok(PutEndpointResponse { revision, secret, position })
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
        let keys = Keys::parse(&Keys::generate().unwrap()).unwrap();
        let refusal = parse_with(&bad, false, &keys, "x").unwrap_err();
        for field in ["request_id", "endpoint.url", "endpoint.secret"] {
            assert!(refusal.message().contains(field), "{}", refusal.message());
        }
        assert!(!format!("{refusal:?}").contains("short"));
        let good = Endpoint { url: "https://hooks.example/a".into(), ..Endpoint::default() };
        let (_, put) = parse_with(&request(good), false, &keys, "x").unwrap();
        assert_eq!(put.secret, None);
    }
}
