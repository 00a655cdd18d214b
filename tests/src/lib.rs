//! What the tests of the whole product share: real servers, and logs put under test.

pub mod logs;
pub mod nats;
pub mod nats_log;
pub mod proxy;
