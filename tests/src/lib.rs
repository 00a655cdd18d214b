//! What the tests of the whole product share: real servers, and logs put under test.

pub mod api;
pub mod cgroup;
pub mod cluster;
pub mod collector;
pub mod damage;
pub mod doctor;
pub mod files;
pub mod forge;
pub mod load;
pub mod logs;
pub mod nats;
pub mod nats_creds;
pub mod nats_log;
pub mod nats_secure;
mod nats_server;
pub mod notices;
pub mod process;
pub mod proof;
pub mod proxy;
pub mod receiver;
pub mod rest;
pub mod rng;
pub mod stack;
pub mod story;
