//! What the kernel says of the host's wall clock.
//!
//! **Invariant:** the only crate of the product with unsafe code, and it has one call.

/// Whether the kernel calls the wall clock synchronised: an NTP or PTP daemon steers it and vouches for it. Setting the
/// clock by hand takes that word back until the daemon gives it anew. `false` too where the kernel can't be asked.
pub fn is_synchronised() -> bool {
    // Safety: all members of `timex` are integers, for which zero is a value.
    let mut timex: libc::timex = unsafe { std::mem::zeroed() };
    // Safety: the kernel writes to `timex` alone, which lives until it has. With `modes` 0 it changes nothing.
    let state = unsafe { libc::adjtimex(&raw mut timex) };
    state >= 0 && state != libc::TIME_ERROR && timex.status & libc::STA_UNSYNC == 0
}
