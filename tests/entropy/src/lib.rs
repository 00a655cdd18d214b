//! A process's randomness from a seed: what stands in the way of running a simulation twice.
//!
//! The standard library draws the keys of its hash maps from `getrandom`, and tokio from them the order in which it
//! wakes those who wait for one thing. Both look the function up by name, and a program's own comes before that of C:
//! here it is. Link this crate into simulations only; nothing secret may be made in such a process.

use std::ffi::{c_uint, c_void};
use std::sync::atomic::{AtomicU64, Ordering};

static STATE: AtomicU64 = AtomicU64::new(0);

/// Lets everything random follow from `seed` from here on. The order of draws counts too, so draw from one thread
/// alone.
pub fn seed(seed: u64) {
    STATE.store(seed, Ordering::Relaxed);
}

/// The next eight bytes (splitmix64).
fn next() -> [u8; 8] {
    const STEP: u64 = 0x9e37_79b9_7f4a_7c15;
    let mut word = STATE.fetch_add(STEP, Ordering::Relaxed).wrapping_add(STEP);
    word = (word ^ (word >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    word = (word ^ (word >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    (word ^ (word >> 31)).to_le_bytes()
}

/// `getrandom(2)`, from the seed.
///
/// # Safety
/// `buffer` must be valid for writes of `length` bytes, as for the function of C.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn getrandom(buffer: *mut c_void, length: usize, _: c_uint) -> isize {
    // SAFETY: the caller promises just that.
    let bytes = unsafe { std::slice::from_raw_parts_mut(buffer.cast::<u8>(), length) };
    for chunk in bytes.chunks_mut(8) {
        chunk.copy_from_slice(&next()[..chunk.len()]);
    }
    isize::try_from(length).unwrap_or(isize::MAX)
}
