//! The cluster's files, and the command line that runs it.

use std::fs::{self, File};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use super::account::Account;
use super::error::{EmbeddedPostgresError, io_error};
use super::log::{Log, last_lines};
use super::place::Place;
use super::programs::Programs;
use super::{Durability, USER, orphan, socket};

/// A cluster that exists and is not running.
#[derive(Debug)]
pub(super) struct Cluster {
    home: PathBuf,
    socket_dir: PathBuf,
    account: Account,
    programs: Programs,
    durability: Durability,
}

impl Cluster {
    /// Finds the cluster of a data directory, or makes it; stops what an earlier server left running in it.
    pub(super) fn prepare(data_dir: &Path, durability: Durability) -> Result<Cluster, EmbeddedPostgresError> {
        let place = Place::find(data_dir, durability)?;
        let data = place.home.join("data");
        let programs = Programs::find(&data, &place.account)?;
        place.make()?;
        if !data.exists() {
            initialise(&place, &programs, durability)?;
        }
        place.remember()?;
        let socket_dir = socket::make_directory(&place.home, &place.account)?;
        let Place { home, account, .. } = place;
        let cluster = Cluster { home, socket_dir, account, programs, durability };
        // Every start does this again, but an orphan may take its time to stop, and here it holds up no async task.
        cluster.clear()?;
        Ok(cluster)
    }

    pub(super) fn home(&self) -> &Path {
        &self.home
    }

    pub(super) fn socket_dir(&self) -> &Path {
        &self.socket_dir
    }

    /// Stops or removes what would keep PostgreSQL from starting.
    pub(super) fn clear(&self) -> Result<(), EmbeddedPostgresError> {
        orphan::stop(&self.home.join("data"), &self.programs, &self.account)?;
        socket::remove_stale(&self.socket_dir);
        Ok(())
    }

    /// The command that runs PostgreSQL as a child of this process, and the log that it writes.
    pub(super) fn command(&self) -> Result<(Command, Log), EmbeddedPostgresError> {
        let path = self.home.join("postgres.log");
        let opened = Log::open(&path).and_then(|(log, file)| Ok((log, file.try_clone()?, file)));
        let (log, stdout, stderr) = opened.map_err(io_error("could not open", &path))?;
        let mut command = self.account.command(self.programs.postgres(), &self.home);
        command.arg("-D").arg(self.home.join("data"));
        for setting in settings(self.durability) {
            command.arg("-c").arg(setting);
        }
        command.arg("-c").arg(format!("wal_compression={}", self.wal_compression()));
        command.arg("-c").arg(format!("unix_socket_directories={}", self.socket_dir.display()));
        command.stdin(Stdio::null()).stdout(stdout).stderr(stderr);
        Ok((command, log))
    }

    /// How pages are compressed in the log. LZ4 takes a fraction of the time that PostgreSQL's own method does, but not every
    /// build of PostgreSQL has it.
    fn wal_compression(&self) -> &'static str {
        let mut asked = self.account.command(self.programs.postgres(), &self.home);
        asked.arg("-D").arg(self.home.join("data")).args([
            "-c",
            "wal_compression=lz4",
            "-C",
            "wal_compression",
        ]);
        asked.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null());
        match asked.status() {
            Ok(status) if status.success() => "lz4",
            _ => "on",
        }
    }
}

/// What a directory is called while initdb works in it.
const UNFINISHED: &str = "data.new";

/// initdb works in a directory beside, which gets its name when it is complete: after a crash in between, the next
/// start begins again.
fn initialise(
    place: &Place,
    programs: &Programs,
    durability: Durability,
) -> Result<(), EmbeddedPostgresError> {
    remove_unfinished(&place.home);
    // A name of its own, because the initdb of a killed server may still be at work, and cleans up when it fails.
    let unfinished = place.home.join(format!("{UNFINISHED}.{}", std::process::id()));
    tracing::info!(directory = %place.home.display(), account = place.account.name(), "making a PostgreSQL cluster");
    let mut command = place.account.command(programs.initdb(), &place.home);
    command
        .arg("--pgdata")
        .arg(&unfinished)
        .args([
            "--username",
            USER,
            "--auth",
            "trust",
            "--encoding",
            "UTF8",
            "--no-locale",
            "--data-checksums",
        ])
        .stdin(Stdio::null());
    if durability == Durability::ForTests {
        command.arg("--no-sync");
    }
    let output = command.output().map_err(io_error("could not run", &programs.initdb()))?;
    if !output.status.success() {
        let output = [output.stdout, output.stderr].concat();
        return Err(EmbeddedPostgresError::InitDb {
            directory: unfinished,
            output: last_lines(&String::from_utf8_lossy(&output)),
        });
    }
    let data = place.home.join("data");
    fs::rename(&unfinished, &data)
        .and_then(|()| File::open(&place.home)?.sync_all())
        .map_err(io_error("could not finish", &data))
}

fn remove_unfinished(home: &Path) {
    for entry in fs::read_dir(home).into_iter().flatten().flatten() {
        if !entry.file_name().as_encoded_bytes().starts_with(UNFINISHED.as_bytes()) {
            continue;
        }
        if let Err(error) = fs::remove_dir_all(entry.path()) {
            tracing::warn!(directory = %entry.path().display(), %error, "could not remove an unfinished cluster");
        }
    }
}

/// On the command line rather than in a file, so that they follow the binary's version.
fn settings(durability: Durability) -> Vec<String> {
    let durable = match durability {
        Durability::Full => "on",
        Durability::ForTests => "off",
    };
    let mut settings = vec![
        // Reachable through the socket only, whose directory nobody else may enter.
        "listen_addresses=".to_owned(),
        format!("port={}", socket::PORT),
        format!("fsync={durable}"),
        format!("synchronous_commit={durable}"),
        format!("full_page_writes={durable}"),
        "max_connections=100".to_owned(),
        "shared_buffers=256MB".to_owned(),
        "max_wal_size=2GB".to_owned(),
        "checkpoint_timeout=15min".to_owned(),
        "random_page_cost=1.1".to_owned(),
        // No standby will ever read the log.
        "wal_level=minimal".to_owned(),
        "max_wal_senders=0".to_owned(),
        "timezone=UTC".to_owned(),
        "log_timezone=UTC".to_owned(),
        "log_line_prefix=%m [%p] ".to_owned(),
        "log_checkpoints=off".to_owned(),
        // Values and statements may hold personal data, which erasing a subject could not take out of a log.
        "log_error_verbosity=terse".to_owned(),
        "log_min_error_statement=panic".to_owned(),
    ];
    if durability == Durability::ForTests {
        settings.push("autovacuum=off".to_owned());
    }
    settings
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_server_waits_for_the_disk() {
        let settings = settings(Durability::Full);
        for setting in ["fsync=on", "synchronous_commit=on", "full_page_writes=on", "listen_addresses="] {
            assert!(settings.iter().any(|each| each == setting), "{setting}");
        }
    }
}
