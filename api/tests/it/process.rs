//! The binary as a process of its own, in a directory of its own.

use std::{
    fs::{self, Permissions},
    net::{SocketAddr, TcpListener},
    os::unix::fs::PermissionsExt,
    path::{Path, PathBuf},
    process::{Child, Command, Output, Stdio},
    time::Duration,
};

use nix::{
    sys::signal::{Signal, kill},
    unistd::Pid,
};
use serde_json::Value;
use tempfile::TempDir;

use crate::{app::eventually, client::Client};

/// A directory that `annals` works in, and where its server is to be found. Dropping it stops what runs in it.
pub(crate) struct Installation {
    directory: TempDir,
    address: SocketAddr,
    /// Someone who has not signed in.
    pub(crate) anonymous: Client,
    server: Option<Child>,
}

impl Installation {
    pub(crate) fn new() -> Self {
        // PostgreSQL runs as another user if this is root, and has to pass through.
        let passable = Permissions::from_mode(0o711);
        let directory = tempfile::Builder::new().permissions(passable).tempdir_in("/tmp").unwrap();
        // Free a moment ago; nothing else on this machine binds to what it was not given.
        let address = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
        let anonymous = Client::new(format!("http://{address}"));
        Self { directory, address, anonymous, server: None }
    }

    /// The command, configured by nothing but the installation's directory and address.
    pub(crate) fn command(&self) -> Command {
        let mut command = Command::new(env!("CARGO_BIN_EXE_annals"));
        command
            .current_dir(self.directory.path())
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped());
        for variable in ["DATABASE_URL", "REDIS_URL", "SMTP_URL"] {
            command.env_remove(variable);
        }
        command.env("ANNALS_BIND", self.address.to_string()).env("ANNALS_DATA_DIR", self.data_dir());
        command.env("ANNALS_URL", self.anonymous.base());
        command
    }

    /// Runs a command to its end.
    pub(crate) async fn run(&self, arguments: &[&str]) -> Output {
        let mut command = self.command();
        command.args(arguments);
        tokio::task::spawn_blocking(move || command.output().unwrap()).await.unwrap()
    }

    /// Starts the server and waits until it is ready.
    pub(crate) async fn serve(&mut self) {
        let (stdout, stderr) = (self.file("stdout"), self.file("stderr"));
        let mut command = self.command();
        command.args(["serve", "--demo"]);
        command.stdout(fs::File::create(&stdout).unwrap()).stderr(fs::File::create(&stderr).unwrap());
        let mut server = command.spawn().unwrap();
        eventually("a server that is ready", async || {
            if let Some(status) = server.try_wait().unwrap() {
                panic!("{status}: {}", fs::read_to_string(&stderr).unwrap());
            }
            let said = fs::read_to_string(&stdout).unwrap();
            said.contains("Ctrl-C stops everything.").then_some(())
        })
        .await;
        self.anonymous.get("/health/ready").await.ok();
        self.server = Some(server);
    }

    /// What the server has said on its standard output.
    pub(crate) fn said(&self) -> String {
        fs::read_to_string(self.file("stdout")).unwrap()
    }

    /// Kills the server, and nothing but the server.
    pub(crate) fn kill(&mut self) {
        let mut server = self.server.take().unwrap();
        server.kill().unwrap();
        server.wait().unwrap();
    }

    /// Asks the server to stop, and waits until it has.
    pub(crate) async fn interrupt(&mut self) -> std::process::ExitStatus {
        let mut server = self.server.take().unwrap();
        signal(server.id(), Signal::SIGINT);
        eventually("the server has stopped", async || server.try_wait().unwrap()).await
    }

    /// The process of the private PostgreSQL, as far as its file tells.
    pub(crate) fn postgres(&self) -> Option<u32> {
        let file = fs::read_to_string(self.data_dir().join("postgres/data/postmaster.pid")).ok()?;
        file.lines().next()?.trim().parse().ok()
    }

    /// The demo tenant: its id, and a key.
    pub(crate) fn demo(&self) -> (String, String) {
        let demo = fs::read_to_string(self.data_dir().join("demo.json")).unwrap();
        let demo: Value = serde_json::from_str(&demo).unwrap();
        (demo["tenant"].as_str().unwrap().to_owned(), demo["api_key"].as_str().unwrap().to_owned())
    }

    /// A file of the test's own.
    pub(crate) fn file(&self, name: &str) -> PathBuf {
        self.directory.path().join(name)
    }

    pub(crate) fn data_dir(&self) -> PathBuf {
        self.directory.path().join("data")
    }
}

impl Drop for Installation {
    fn drop(&mut self) {
        if let Some(mut server) = self.server.take() {
            signal(server.id(), Signal::SIGTERM);
            for _ in 0..200 {
                if server.try_wait().is_ok_and(|status| status.is_some()) {
                    return;
                }
                std::thread::sleep(Duration::from_millis(50));
            }
            let _ = server.kill();
            let _ = server.wait();
        }
        // What a killed server has left behind.
        if let Some(postgres) = self.postgres().filter(|process| is_running(*process)) {
            signal(postgres, Signal::SIGQUIT);
        }
    }
}

/// Whether there is such a process.
pub(crate) fn is_running(process: u32) -> bool {
    Path::new(&format!("/proc/{process}")).exists() || kill(Pid::from_raw(process as i32), None).is_ok()
}

fn signal(process: u32, signal: Signal) {
    let _ = kill(Pid::from_raw(process as i32), signal);
}
