//! Who is told: rules, endpoints and deliveries.
//!
//! ```text
//! another service's event ─▶ Observe ─▶ (TicketLearnt) ─▶ rules ─▶ IntentMade ─▶ in the app: delivered at once
//!                               │                                     │
//!                  its ticket isn't known yet                     webhook: AttemptStarted ─▶ (the service sends) ─▶ AttemptEnded
//!                               ▼                                     ▲                                               │
//!                         AwaitingTicket                              └───────────────── Failed, at its time ─────────┘
//! ```
//!
//! | an attempt's answer | what follows |
//! |---|---|
//! | 2xx | delivered |
//! | 410 | permanently failed, and the endpoint is disabled |
//! | 429, 502, 504 with `retry-after` | the endpoint rests that long (5 s to 1 h), then again |
//! | any other, or none | again by the [schedule](DELAYS_MS), then permanently failed |
//! | unknown, at an endpoint that chose at most once | unknown, for good |
//!
//! **Invariant:** a delivery's key names one body, and what leaves the system was started in the log before.

mod words;
mod event;
mod state;
mod command;
mod rejection;
mod decide;
mod template;
mod view;
mod body;
mod key;
mod names;
mod schedule;

pub use body::BODY_MAX;
pub use command::{
    AttemptResult, Change, Command, EndAttempt, Observe, PutEndpoint, PutRule, Reseal,
};
pub use decide::Notify;
pub use event::{
    AttemptEnded, AttemptStarted, AwaitingTicket, Cause, EndpointPut, Event, IntentMade,
    Observation, Outcome, RulePut, TicketLearnt,
};
pub use names::FILTER_NAMES;
pub use rejection::Rejection;
pub use schedule::{DELAYS_MS, RETRY_AFTER_MAX_MS, RETRY_AFTER_MIN_MS};
pub use state::{
    Counts, Delivery, ENDPOINTS_MAX, Endpoint, FINISHED_MAX, IN_FLIGHT_MAX, NOTICES_MAX, Progress,
    RULES_MAX, Rule, SECRETS_MAX, State, Ticket, WAITING_MAX, Workspace,
};
pub use template::{
    Branch, ELEMENT_MAX, ELEMENTS_MAX, Expression, Filter, NESTING_MAX, Operator, Part, STEPS_MAX,
    STEPS_MAX_TYPE, Shape, Shapes, TEMPLATE_MAX, TEXT_MAX, Template, TemplateError, common,
};
pub use words::{Address, GivenSecret, InvalidRecipient, Recipient, SealedSecret, Target, Way};
