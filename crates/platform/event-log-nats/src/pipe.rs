//! A consumer and what it delivers: a mere pipe, with no state worth having, made anew whenever anything is odd.

use std::time::Duration;

use async_nats::jetstream::consumer::pull;
use async_nats::jetstream::consumer::{AckPolicy, Consumer, DeliverPolicy, StreamErrorKind};
use async_nats::jetstream::stream::ConsumerErrorKind;
use async_nats::jetstream::{Context, ErrorCode};

/// Messages that may be on their way through one pipe.
const BATCH_MAX_MESSAGES: usize = 200;
const PULL_EXPIRES: Duration = Duration::from_secs(30);
/// Two of these without a sign of life are an error.
const HEARTBEAT_EVERY: Duration = Duration::from_secs(2);
/// The server forgets a consumer that nobody pulls from after this long.
const INACTIVE_THRESHOLD: Duration = Duration::from_secs(30);

/// Field order matters: the messages end first.
pub(crate) struct Pipe {
    pub(crate) messages: pull::Stream,
    _consumer: Ephemeral,
}

/// Why there is no pipe.
#[derive(Debug, thiserror::Error)]
pub(crate) enum PipeError {
    /// The consumer can't be made.
    #[error("a consumer can't be made")]
    Consumer(#[from] async_nats::error::Error<ConsumerErrorKind>),
    /// Nothing can be asked of it.
    #[error("a consumer can't be asked")]
    Messages(#[from] async_nats::error::Error<StreamErrorKind>),
}

impl PipeError {
    /// Whether it is because there is no such stream. Said during an election too.
    pub(crate) fn is_missing(&self) -> bool {
        let Self::Consumer(error) = self else { return false };
        matches!(
            error.kind(),
            ConsumerErrorKind::JetStream(reason)
                if reason.error_code() == ErrorCode::STREAM_NOT_FOUND
        )
    }
}

impl Pipe {
    /// Opens one on a stream. `subjects` empty: all of them.
    pub(crate) async fn open(
        context: &Context,
        stream: &str,
        deliver_policy: DeliverPolicy,
        subjects: &str,
    ) -> Result<Self, PipeError> {
        let config = pull::Config {
            deliver_policy,
            filter_subject: subjects.to_owned(),
            ack_policy: AckPolicy::None,
            memory_storage: true,
            num_replicas: 1,
            inactive_threshold: INACTIVE_THRESHOLD,
            ..pull::Config::default()
        };
        let consumer: Consumer<pull::Config> =
            context.create_consumer_on_stream(config, stream).await?;
        let (context, stream) = (context.clone(), stream.to_owned());
        let name = consumer.cached_info().name.clone();
        let ephemeral = Ephemeral { context, stream, name };
        let messages = consumer
            .stream()
            .max_messages_per_batch(BATCH_MAX_MESSAGES)
            .expires(PULL_EXPIRES)
            .heartbeat(HEARTBEAT_EVERY)
            .messages()
            .await?;
        Ok(Self { messages, _consumer: ephemeral })
    }
}

/// Deletes a consumer when it is of no more use; the server would do it later by itself.
struct Ephemeral {
    context: Context,
    stream: String,
    name: String,
}

impl Drop for Ephemeral {
    fn drop(&mut self) {
        let (context, stream) = (self.context.clone(), std::mem::take(&mut self.stream));
        let name = std::mem::take(&mut self.name);
        if let Ok(runtime) = tokio::runtime::Handle::try_current() {
            runtime.spawn(async move {
                if let Err(error) = context.delete_consumer_from_stream(&name, &stream).await {
                    tracing::trace!(%error, stream, "a consumer was not deleted");
                }
            });
        }
    }
}
