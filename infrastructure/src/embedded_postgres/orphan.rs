//! The postmaster that a killed server left running.

use std::fs;
use std::path::Path;
use std::process::{Command, Stdio};

use nix::sys::signal::kill;
use nix::unistd::Pid;

use super::account::Account;
use super::error::{EmbeddedPostgresError, io_error};
use super::log::last_lines;
use super::programs::Programs;

/// How long each way to stop it may take, in seconds: first properly, then without a checkpoint.
const ATTEMPTS: [(&str, &str); 2] = [("fast", "30"), ("immediate", "10")];

/// Stops the postmaster that runs in `data`, if there is one. Only for a holder of the data directory's lock: then no
/// living server is its parent.
pub(super) fn stop(data: &Path, programs: &Programs, account: &Account) -> Result<(), EmbeddedPostgresError> {
    let pid_file = data.join("postmaster.pid");
    let Some(pid) = fs::read_to_string(&pid_file).ok().as_deref().and_then(parse_pid) else { return Ok(()) };
    if kill(pid, None).is_err() {
        // PostgreSQL sees that, too, and replaces the file.
        return Ok(());
    }
    if !is_postmaster(pid, data) {
        // After a reboot, the number may belong to anybody: pg_ctl would stop them, and PostgreSQL refuse to start.
        return fs::remove_file(&pid_file).map_err(io_error("could not remove the stale", &pid_file));
    }

    tracing::warn!(%pid, "stopping the PostgreSQL that an earlier server left running");
    let mut said = String::new();
    for (mode, seconds) in ATTEMPTS {
        let output = account
            .command(programs.pg_ctl(), data)
            .args(["stop", "-w", "-m", mode, "-t", seconds, "-D"])
            .arg(data)
            .stdin(Stdio::null())
            .output()
            .map_err(io_error("could not run", &programs.pg_ctl()))?;
        if output.status.success() || !is_postmaster(pid, data) {
            return Ok(());
        }
        said.push_str(&String::from_utf8_lossy(&output.stdout));
        said.push_str(&String::from_utf8_lossy(&output.stderr));
    }
    Err(EmbeddedPostgresError::OrphanStays {
        pid: pid.as_raw(),
        directory: data.to_owned(),
        output: last_lines(&said),
    })
}

/// The first line of postmaster.pid; negative for a backend in single-user mode.
fn parse_pid(contents: &str) -> Option<Pid> {
    let pid: i32 = contents.lines().next()?.trim().parse().ok()?;
    (pid > 1).then(|| Pid::from_raw(pid))
}

/// A postmaster's working directory is its cluster. A zombie has none.
fn is_postmaster(pid: Pid, data: &Path) -> bool {
    if cfg!(target_os = "linux") {
        let directory = fs::read_link(format!("/proc/{pid}/cwd"));
        return directory.is_ok_and(|directory| data.canonicalize().is_ok_and(|data| data == directory));
    }
    Command::new("ps").args(["-o", "command=", "-p", &pid.to_string()]).output().is_ok_and(|output| {
        let command = String::from_utf8_lossy(&output.stdout);
        command.contains("postgres") && command.contains(&*data.to_string_lossy())
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reads_the_pid_file() {
        assert_eq!(parse_pid("4711\n/data\n1700000000\n5432\n"), Some(Pid::from_raw(4711)));
        assert_eq!(parse_pid("-4711\n"), None);
        assert_eq!(parse_pid("1\n"), None, "the init of a container is no postmaster of ours");
        assert_eq!(parse_pid(""), None);
    }

    #[test]
    fn another_process_is_no_postmaster() {
        let directory = tempfile::tempdir().unwrap();
        assert!(!is_postmaster(nix::unistd::getpid(), directory.path()));
    }
}
