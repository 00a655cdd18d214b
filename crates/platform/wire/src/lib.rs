//! The contract: what prost and tonic generate from `proto/`, and nothing else.
//!
//! Modules follow the packages: `wire::intake::v1` is `switchyard.intake.v1`. Maps are `BTreeMap`s, so that an encoding
//! is the same each time. **Invariant:** no type of ours beyond the generated ones; the contract doesn't know the
//! domain.

/// The descriptors of every package with its comments, for reflection and for decoding by name.
pub const FILE_DESCRIPTOR_SET: &[u8] =
    include_bytes!(concat!(env!("OUT_DIR"), "/switchyard.binpb"));

/// The descriptors as a pool, made once.
pub fn descriptors() -> &'static prost_reflect::DescriptorPool {
    static POOL: std::sync::LazyLock<prost_reflect::DescriptorPool> =
        std::sync::LazyLock::new(|| {
            prost_reflect::DescriptorPool::decode(FILE_DESCRIPTOR_SET)
                .expect("the build wrote these descriptors")
        });
    &POOL
}

/// The facts of the logs once more, for who reads many and keeps little: texts are slices of the record that was read,
/// not checked to be UTF-8, and maps are lists of their entries.
pub mod lent {
    /// What every service shares.
    pub mod common {
        /// What every service shares.
        pub mod v1 {
            include!(concat!(env!("OUT_DIR"), "/lent/switchyard.common.v1.rs"));
        }
    }
    /// The facts of the logs, and their envelope.
    pub mod events {
        /// The facts of the logs, and their envelope.
        pub mod v1 {
            include!(concat!(env!("OUT_DIR"), "/lent/switchyard.events.v1.rs"));
        }
    }
}

macro_rules! package {
    ($name:ident, $about:literal) => {
        #[doc = $about]
        pub mod $name {
            #[doc = $about]
            pub mod v1 {
                include!(concat!(env!("OUT_DIR"), "/switchyard.", stringify!($name), ".v1.rs"));
            }
        }
    };
}

package!(common, "What every service shares.");
package!(events, "The facts of the logs, and their envelope.");
package!(intake, "Tickets and their conversation.");
package!(routing, "Agents, queues and offers.");
package!(sla, "Policies and clocks.");
package!(notify, "Rules, endpoints and deliveries.");
package!(admin, "For operators.");
