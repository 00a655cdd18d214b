//! Publishing as any client does, without a fence: what the fenced log is measured against.

use async_nats::Subject;
use async_nats::jetstream;
use bytes::Bytes;
use event_log::AppendError;

/// Publishes to one log's stream, whoever else does. **Never for a log that a service owns**: nothing says what such a
/// record follows.
#[derive(Clone, Debug)]
pub struct Publisher {
    context: jetstream::Context,
    subject: Subject,
}

impl Publisher {
    pub(crate) const fn new(context: jetstream::Context, subject: Subject) -> Self {
        Self { context, subject }
    }

    /// Returns once the stream has acknowledged the message; any failure leaves open whether it was written.
    pub async fn publish(&self, message: Bytes) -> Result<(), AppendError> {
        let unknown = |error: jetstream::context::PublishError| AppendError::Unknown(error.into());
        let sent = self.context.publish(self.subject.clone(), message).await.map_err(unknown)?;
        sent.await.map_err(unknown)?;
        Ok(())
    }
}
