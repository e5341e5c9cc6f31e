//! The service as a child process, and what the kernel says it used.

use std::fs;
use std::path::Path;
use std::process::Stdio;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail};
use tokio::process::{Child, Command};

use crate::http::tls;

/// Clock ticks a second in `/proc/<pid>/stat`; fixed by the kernel's interface.
const TICKS: f64 = 100.0;

/// A running `kontingent serve`.
#[derive(Debug)]
pub struct Server {
    child: Child,
    pid: u32,
    /// Time from the start of the process until it said it was ready.
    pub ready_after: Duration,
}

impl Server {
    /// Starts `kontingent serve` with these variables and waits until `health` is ready.
    ///
    /// # Errors
    /// When it ends early or is not ready within 20 seconds.
    pub async fn start(roles: &str, data: &Path, variables: &[(&str, String)]) -> Result<Self> {
        tls::install_provider();
        let program = std::env::current_exe()?;
        let health = variables
            .iter()
            .find(|(name, _)| *name == "KONTINGENT_HEALTH__LISTEN")
            .map(|(_, address)| format!("http://{address}/health/ready"))
            .context("the server needs a health address")?;
        let begun = Instant::now();
        let mut child = Command::new(program)
            .args(["serve", "--roles", roles])
            .env("KONTINGENT_DATA", data)
            .env("KONTINGENT_LOG__FILTER", "warn")
            .envs(variables.iter().map(|(name, value)| (*name, value.as_str())))
            .stdin(Stdio::null())
            .kill_on_drop(true)
            .spawn()?;
        let client = reqwest::Client::new();
        loop {
            let answered = client.get(&health).send().await;
            if answered.is_ok_and(|answer| answer.status().is_success()) {
                break;
            }
            if let Some(status) = child.try_wait()? {
                bail!("the server ended with {status}");
            }
            if begun.elapsed() > Duration::from_secs(20) {
                bail!("the server was not ready within 20 seconds");
            }
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
        let pid = child.id().context("the server has ended")?;
        Ok(Self { child, pid, ready_after: begun.elapsed() })
    }

    /// Its process id.
    pub fn pid(&self) -> u32 {
        self.pid
    }

    /// Processor time it used so far.
    ///
    /// # Errors
    /// When the process has gone.
    pub fn cpu(&self) -> Result<Duration> {
        cpu_of(self.pid)
    }

    /// Resident memory now, in bytes.
    ///
    /// # Errors
    /// When the process has gone.
    pub fn resident(&self) -> Result<u64> {
        resident(self.pid)
    }

    /// Most resident memory it ever had, in bytes.
    ///
    /// # Errors
    /// When the process has gone.
    pub fn peak(&self) -> Result<u64> {
        status_field(self.pid, "VmHWM:")
    }

    /// Asks it to end and waits.
    ///
    /// # Errors
    /// When it does not end within 30 seconds.
    pub async fn stop(mut self) -> Result<()> {
        let killed = Command::new("kill").arg(self.pid.to_string()).status().await?;
        anyhow::ensure!(killed.success(), "the server cannot be stopped");
        tokio::time::timeout(Duration::from_secs(30), self.child.wait()).await??;
        Ok(())
    }
}

/// Processor time of any process, its user and system part together.
///
/// # Errors
/// When the process has gone.
pub fn cpu_of(pid: u32) -> Result<Duration> {
    let stat = fs::read_to_string(format!("/proc/{pid}/stat"))?;
    let after_name = stat.rsplit_once(')').map(|(_, rest)| rest).unwrap_or_default();
    let fields: Vec<&str> = after_name.split_whitespace().collect();
    let ticks = |at: usize| fields.get(at).and_then(|text| text.parse::<f64>().ok());
    let (user, system) = ticks(11).zip(ticks(12)).context("/proc/<pid>/stat has another shape")?;
    Ok(Duration::from_secs_f64((user + system) / TICKS))
}

/// Processor time of all processes whose command name starts with this.
pub fn cpu_of_all(name: &str) -> Duration {
    let Ok(entries) = fs::read_dir("/proc") else { return Duration::ZERO };
    entries
        .filter_map(|entry| entry.ok()?.file_name().to_str()?.parse::<u32>().ok())
        .filter(|pid| {
            fs::read_to_string(format!("/proc/{pid}/comm")).is_ok_and(|comm| comm.starts_with(name))
        })
        .filter_map(|pid| cpu_of(pid).ok())
        .sum()
}

/// Resident memory of a process now, in bytes.
///
/// # Errors
/// When the process has gone.
pub fn resident(pid: u32) -> Result<u64> {
    status_field(pid, "VmRSS:")
}

fn status_field(pid: u32, name: &str) -> Result<u64> {
    let status = fs::read_to_string(format!("/proc/{pid}/status"))?;
    let kilobytes: u64 = status
        .lines()
        .find_map(|line| line.strip_prefix(name))
        .and_then(|rest| rest.split_whitespace().next()?.parse().ok())
        .context("/proc/<pid>/status has another shape")?;
    Ok(kilobytes * 1024)
}
