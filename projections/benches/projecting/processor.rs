//! Processor time, which says more than a clock on a machine that has other things to do.

use std::{fs, path::Path, time::Duration};

/// What `/proc` counts time in: hundredths of a second on every Linux.
const TICK: Duration = Duration::from_millis(10);

/// Processor time that this process and the PostgreSQL in `data` have used so far; zero where there is no `/proc`.
pub(crate) fn used(data: &Path) -> Duration {
    let postmaster = fs::read_to_string(data.join("postmaster.pid")).unwrap_or_default();
    let postmaster = postmaster.lines().next().unwrap_or_default();
    let mut ticks = time_of("self", Ended::NotCounted) + time_of(postmaster, Ended::Counted);
    for process in fs::read_dir("/proc").into_iter().flatten().flatten() {
        let name = process.file_name();
        let name = name.to_string_lossy();
        if fields(&name).get(1).is_some_and(|parent| parent == postmaster) {
            ticks += time_of(&name, Ended::NotCounted);
        }
    }
    TICK * ticks
}

/// Whether a process's ended children count.
#[derive(PartialEq)]
enum Ended {
    Counted,
    NotCounted,
}

fn time_of(process: &str, ended: Ended) -> u32 {
    let columns = if ended == Ended::Counted { 11..15 } else { 11..13 };
    let fields = fields(process);
    fields.get(columns).unwrap_or_default().iter().filter_map(|ticks| ticks.parse::<u32>().ok()).sum()
}

/// What follows the name in `/proc/PID/stat` (proc(5)): the state, the parent, …
fn fields(process: &str) -> Vec<String> {
    let stat = fs::read_to_string(format!("/proc/{process}/stat")).unwrap_or_default();
    let after_name = stat.rsplit_once(')').map_or("", |(_, after)| after);
    after_name.split_whitespace().map(str::to_owned).collect()
}
