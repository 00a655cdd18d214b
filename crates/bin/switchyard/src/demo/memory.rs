//! How much memory processes took at most, as the kernel says.

use anyhow::{Context, Result};

/// The sum over this process and `others`, in MiB, to one decimal.
pub(crate) fn peak_rss_mib(others: &[u32]) -> Result<f64> {
    let mut kibibytes = of("self")?;
    for process in others {
        kibibytes += of(&process.to_string())?;
    }
    // Hundreds of MiB at most, which a float holds exactly.
    Ok((f64::from(kibibytes) / 1024.0 * 10.0).round() / 10.0)
}

/// What a process takes now, in bytes.
pub(crate) fn resident_bytes(process: u32) -> Result<u64> {
    let path = format!("/proc/{process}/status");
    let status = std::fs::read_to_string(&path).with_context(|| path.clone())?;
    let kibibytes = line(&status, "VmRSS:").with_context(|| format!("{path} has no VmRSS"))?;
    Ok(u64::from(kibibytes) * 1024)
}

fn of(process: &str) -> Result<u32> {
    let path = format!("/proc/{process}/status");
    let status = std::fs::read_to_string(&path).with_context(|| path.clone())?;
    high_water_mark(&status).with_context(|| format!("{path} has no VmHWM"))
}

fn high_water_mark(status: &str) -> Option<u32> {
    line(status, "VmHWM:")
}

fn line(status: &str, name: &str) -> Option<u32> {
    let line = status.lines().find_map(|line| line.strip_prefix(name))?;
    line.split_whitespace().next()?.parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_high_water_mark_is_read() {
        assert_eq!(high_water_mark("VmPeak:\t 9 kB\nVmHWM:\t  2048 kB\n"), Some(2048));
        assert_eq!(high_water_mark("VmPeak:\t 9 kB\n"), None);
        assert!(peak_rss_mib(&[]).unwrap() > 0.0);
    }
}
