//! What a process has used, as Linux tells (`proc(5)`).

use anyhow::Context as _;

/// Clock ticks in a second of `/proc`, which is a constant of the kernel's interface on Linux.
const TICKS: f64 = 100.0;

/// Seconds of processor time that a process has used; `None` where it has ended.
pub(crate) fn cpu_seconds(pid: u32) -> Option<f64> {
    let stat = std::fs::read_to_string(format!("/proc/{pid}/stat")).ok()?;
    // The name, in parentheses, may hold spaces.
    let (_, fields) = stat.rsplit_once(')')?;
    let mut fields = fields.split_whitespace().skip(11);
    let user: f64 = fields.next()?.parse().ok()?;
    let system: f64 = fields.next()?.parse().ok()?;
    Some((user + system) / TICKS)
}

/// Most memory that a process has held since [`forget_peak`], in MiB.
///
/// # Errors
/// Where it has ended.
pub(crate) fn peak_mib(pid: u32) -> anyhow::Result<f64> {
    memory_mib(pid, "VmHWM:")
}

/// Memory that a process holds now, in MiB.
///
/// # Errors
/// Where it has ended.
pub(crate) fn resident_mib(pid: u32) -> anyhow::Result<f64> {
    memory_mib(pid, "VmRSS:")
}

/// Measures the peak from now on.
///
/// # Errors
/// Where it belongs to somebody else.
pub(crate) fn forget_peak(pid: u32) -> anyhow::Result<()> {
    Ok(std::fs::write(format!("/proc/{pid}/clear_refs"), "5")?)
}

/// Bytes that a process has written to files and pipes, `/dev/null` among them; `None` where it has ended.
pub(crate) fn written_bytes(pid: u32) -> Option<f64> {
    let io = std::fs::read_to_string(format!("/proc/{pid}/io")).ok()?;
    let written = io.lines().find_map(|line| line.strip_prefix("wchar: "))?;
    written.parse().ok()
}

fn memory_mib(pid: u32, field: &str) -> anyhow::Result<f64> {
    let status = std::fs::read_to_string(format!("/proc/{pid}/status"))?;
    let line = status.lines().find(|line| line.starts_with(field));
    let kib = line.and_then(|line| line.split_whitespace().nth(1));
    let kib: f64 = kib
        .with_context(|| format!("no {field} of {pid}"))?
        .parse()?;
    Ok(kib / 1024.0)
}
