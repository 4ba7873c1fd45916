//! A server process.

use std::{
    fs::{self, File},
    net::{SocketAddr, TcpListener},
    path::{Path, PathBuf},
    process::{Child, Command, ExitStatus, Stdio},
};

use nix::{
    sys::signal::{Signal, kill},
    unistd::Pid,
};
use serde_json::Value;

use crate::http::{Call, Manner, send};

/// One `annals serve`, which may be dead or stopped. Dropping it kills it.
pub(crate) struct Node {
    pub(crate) address: SocketAddr,
    directory: PathBuf,
    database: String,
    process: Option<Child>,
    /// Whether it has answered since it was started: before, a database that is away ends it, and may.
    has_been_ready: bool,
}

impl Node {
    /// Starts one that keeps its files in a directory and finds its database at an address.
    pub(crate) fn start(directory: &Path, database: String) -> Self {
        fs::create_dir(directory).unwrap();
        // Free a moment ago; nothing else on this machine binds to what it was not given.
        let address = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
        let directory = directory.to_owned();
        let mut node = Self { address, directory, database, process: None, has_been_ready: false };
        node.restart();
        node
    }

    /// `annals` with some arguments, configured as this server is.
    pub(crate) fn command(&self, arguments: &[&str]) -> Command {
        let log = File::options().create(true).append(true).open(self.log()).unwrap();
        let mut command = Command::new(env!("CARGO_BIN_EXE_annals"));
        command.args(arguments).current_dir(&self.directory).stdin(Stdio::null());
        command.stdout(log.try_clone().unwrap()).stderr(log);
        for variable in ["REDIS_URL", "SMTP_URL"] {
            command.env_remove(variable);
        }
        command.env("ANNALS_BIND", self.address.to_string());
        command.env("ANNALS_DATA_DIR", self.directory.join("data"));
        command.env("ANNALS_SECRET_KEY", SECRET_KEY);
        command.env("ANNALS_DATABASE_CONNECTIONS", "8");
        command.env("DATABASE_URL", &self.database);
        command
    }

    fn restart(&mut self) {
        self.process = Some(self.command(&["serve"]).spawn().unwrap());
        self.has_been_ready = false;
    }

    /// Kills it: nothing of what it does is finished.
    pub(crate) fn kill(&mut self) {
        if let Some(mut process) = self.process.take() {
            process.kill().unwrap();
            process.wait().unwrap();
        }
    }

    /// Stops it where it stands, or lets it go on.
    pub(crate) fn freeze(&self, signal: Frozen) {
        let signal = match signal {
            Frozen::Yes => Signal::SIGSTOP,
            Frozen::No => Signal::SIGCONT,
        };
        if let Some(process) = &self.process {
            let _ = kill(Pid::from_raw(process.id().cast_signed()), signal);
        }
    }

    /// Starts it if it does not run; fails if it has ended although it had been ready and nobody has killed it.
    pub(crate) fn revive(&mut self) -> Result<(), String> {
        match self.ended() {
            Some(status) if self.has_been_ready => {
                return Err(format!(
                    "the server of {} has ended by itself: {status}",
                    self.directory.display()
                ));
            }
            Some(_) => self.restart(),
            None if self.process.is_none() => self.restart(),
            None => {}
        }
        Ok(())
    }

    fn ended(&mut self) -> Option<ExitStatus> {
        self.process.as_mut()?.try_wait().unwrap()
    }

    /// Whether it and all that it depends on is well.
    pub(crate) async fn is_ready(&mut self) -> bool {
        let call = Call {
            method: "GET",
            path: "/health/ready".to_owned(),
            token: None,
            body: Value::Null,
            id: "ready".to_owned(),
        };
        let ready = send(self.address, &call, Manner::Waits).await.is_some_and(|answer| answer.status == 200);
        self.has_been_ready |= ready;
        ready
    }

    /// Where its output goes, that of all its lives.
    pub(crate) fn log(&self) -> PathBuf {
        self.directory.join("log")
    }
}

/// Whether a process is to stand still.
#[derive(Clone, Copy)]
pub(crate) enum Frozen {
    Yes,
    No,
}

/// The key of the installation, by which the test makes the tokens that mails would carry.
pub(crate) const SECRET_KEY: &str = "AAECAwQFBgcICQoLDA0ODxAREhMUFRYXGBkaGxwdHh8=";

impl Drop for Node {
    fn drop(&mut self) {
        self.kill();
    }
}
