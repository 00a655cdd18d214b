//! Endpoints: made, changed, given new secrets.

use kernel::Context;

use super::{Answer, check_revision, check_room, fact};
use crate::state::{ENDPOINTS_MAX, SECRETS_MAX};
use crate::{Endpoint, EndpointPut, Event, PutEndpoint, Secret, Workspace};

pub(super) fn put(workspace: &Workspace, context: &Context, put: PutEndpoint) -> Answer {
    let old = workspace.endpoint(&put.endpoint);
    let revision = old.map_or(0, |old| old.revision);
    let wanted = EndpointPut {
        secrets: secrets(old, &put),
        endpoint: put.endpoint,
        url: put.url,
        disabled: put.disabled,
        at_most_once: put.at_most_once,
    };
    if old.is_some_and(|old| as_put(&wanted, old) == wanted) {
        return Ok(Vec::new());
    }
    check_revision(put.expected_revision, revision)?;
    if old.is_none() {
        check_room(workspace.endpoint_count(), ENDPOINTS_MAX)?;
    }
    let entity = wanted.endpoint.to_string();
    Ok(vec![fact(context, &entity, revision.saturating_add(1), Event::EndpointPut(wanted))])
}

/// A new secret goes first and the one before signs on, so that receivers can change over.
fn secrets(old: Option<&Endpoint>, put: &PutEndpoint) -> Vec<Secret> {
    let Some(old) = old else {
        return vec![put.secret.clone().unwrap_or_else(|| put.fresh.clone())];
    };
    match &put.secret {
        Some(secret) if old.secrets.first() != Some(secret) => {
            let kept = old.secrets.iter().filter(|other| *other != secret);
            std::iter::once(secret).chain(kept).take(SECRETS_MAX).cloned().collect()
        }
        Some(_) | None => old.secrets.clone(),
    }
}

/// An endpoint's settings as they stand.
pub(super) fn as_put(like: &EndpointPut, endpoint: &Endpoint) -> EndpointPut {
    EndpointPut {
        endpoint: like.endpoint.clone(),
        url: endpoint.url.clone(),
        secrets: endpoint.secrets.clone(),
        disabled: endpoint.disabled,
        at_most_once: endpoint.at_most_once,
    }
}
