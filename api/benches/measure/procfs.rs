//! What Linux tells about processes in /proc; elsewhere nothing is known.

use std::{collections::HashMap, fs};

/// The kernel's unit of processor time in /proc, on every architecture.
const TICKS_PER_SECOND: f64 = 100.0;

/// Memory of a process in bytes.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Memory {
    /// Now.
    pub(crate) resident: u64,
    /// At its highest.
    pub(crate) peak: u64,
}

/// Processor time used so far, in seconds.
#[derive(Clone, Copy, Debug, Default, serde::Serialize)]
pub(crate) struct Processor {
    /// By this process: the load generator, or a peer that runs in it.
    pub(crate) load: f64,
    /// By the server, and by other commands of its binary.
    pub(crate) server: f64,
    /// By PostgreSQL.
    pub(crate) postgres: f64,
    /// By everything else on the machine, the kernel's own threads included: what disturbs the figures.
    pub(crate) others: f64,
}

impl Memory {
    pub(crate) fn of(process: u32) -> Option<Self> {
        let status = fs::read_to_string(format!("/proc/{process}/status")).ok()?;
        let bytes = |name: &str| {
            let line = status.lines().find_map(|line| line.strip_prefix(name))?;
            Some(line.trim_matches([':', ' ', '\t']).strip_suffix(" kB")?.parse::<u64>().ok()? * 1024)
        };
        Some(Self { resident: bytes("VmRSS")?, peak: bytes("VmHWM")? })
    }
}

impl Processor {
    /// What has been used so far. This process's children are the server's binary, their descendants are PostgreSQL.
    pub(crate) fn used() -> Self {
        let (all, own) = (times(), std::process::id());
        // How far below this process: 0 is itself.
        let depth = |mut process: u32| {
            for depth in 0..all.len() {
                if process == own {
                    return Some(depth);
                }
                process = all.get(&process)?.parent;
            }
            None
        };
        let mut ticks = [0; 3];
        for (process, time) in &all {
            if let Some(depth) = depth(*process) {
                ticks[depth.min(2)] += time.own;
                ticks[(depth + 1).min(2)] += time.reaped;
            }
        }
        let others = busy().saturating_sub(ticks.iter().sum());
        let seconds = |ticks: u64| ticks as f64 / TICKS_PER_SECOND;
        let [load, server, postgres] = ticks.map(seconds);
        Self { load, server, postgres, others: seconds(others) }
    }

    /// The cores in use on average since `before`.
    pub(crate) fn cores_since(self, before: Self, seconds: f64) -> Self {
        Self {
            load: (self.load - before.load) / seconds,
            server: (self.server - before.server) / seconds,
            postgres: (self.postgres - before.postgres) / seconds,
            // The kernel counts the two a little apart.
            others: ((self.others - before.others) / seconds).max(0.0),
        }
    }
}

/// Ticks that all cores have been busy for.
fn busy() -> u64 {
    let stat = fs::read_to_string("/proc/stat").unwrap_or_default();
    let ticks: Vec<u64> = stat
        .lines()
        .next()
        .unwrap_or_default()
        .split_whitespace()
        .filter_map(|field| field.parse().ok())
        .collect();
    // User, nice, system, idle, waiting for disks, interrupts, soft interrupts; what follows is other machines'.
    ticks.iter().take(7).sum::<u64>() - ticks.iter().skip(3).take(2).sum::<u64>()
}

/// A process's place in the tree and its ticks.
struct Time {
    parent: u32,
    own: u64,
    /// Of children that have ended.
    reaped: u64,
}

fn times() -> HashMap<u32, Time> {
    let entries = fs::read_dir("/proc").into_iter().flatten().flatten();
    let processes = entries.filter_map(|entry| entry.file_name().to_str()?.parse::<u32>().ok());
    processes.filter_map(|process| Some((process, time(process)?))).collect()
}

fn time(process: u32) -> Option<Time> {
    let stat = fs::read_to_string(format!("/proc/{process}/stat")).ok()?;
    // The name before it may hold spaces and brackets. What follows begins with field 3, the state.
    let fields: Vec<&str> = stat.rsplit_once(')')?.1.split_whitespace().collect();
    let field = |number: usize| fields.get(number - 3)?.parse::<u64>().ok();
    Some(Time {
        parent: u32::try_from(field(4)?).ok()?,
        own: field(14)? + field(15)?,
        reaped: field(16)? + field(17)?,
    })
}
