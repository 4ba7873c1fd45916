//! What stands between the servers and PostgreSQL: a relay that loses connections on purpose.

use std::{
    collections::HashMap,
    io,
    net::SocketAddr,
    path::{Path, PathBuf},
    sync::{
        Arc, Mutex,
        atomic::{AtomicUsize, Ordering},
    },
};

use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::{TcpListener, TcpStream, UnixStream},
    sync::watch,
    task::JoinHandle,
};
use tokio_util::sync::CancellationToken;

/// How a connection is lost, once something passes that fits.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Fault {
    /// This many bytes of a message from the server still arrive.
    CutRequest(usize),
    /// This many bytes of an answer still arrive.
    CutAnswer(usize),
    /// What the server asked for is done, and it never learns of it.
    LoseAnswer,
    /// The same for a COMMIT: what was decided is durable, and the server does not know.
    LoseCommit,
}

/// The relay. Dropping it ends it.
pub(crate) struct Proxy {
    pub(crate) address: SocketAddr,
    state: Arc<State>,
    accepting: JoinHandle<()>,
}

struct State {
    socket: PathBuf,
    connections: Mutex<HashMap<usize, CancellationToken>>,
    armed: Mutex<Vec<Fault>>,
    struck: AtomicUsize,
    flowing: watch::Sender<bool>,
}

impl Proxy {
    /// Listens on a port of its own for what is meant for the socket.
    pub(crate) async fn start(socket: &Path) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let state = Arc::new(State {
            socket: socket.to_owned(),
            connections: Mutex::default(),
            armed: Mutex::default(),
            struck: AtomicUsize::new(0),
            flowing: watch::Sender::new(true),
        });
        let accepting = tokio::spawn(accept(listener, Arc::clone(&state)));
        Self { address, state, accepting }
    }

    /// Loses each open connection for which `which` says so.
    pub(crate) fn drop_connections(&self, mut which: impl FnMut() -> bool) -> usize {
        let connections = self.state.connections.lock().unwrap();
        // In order, so that a seed's choices do not depend on a map's.
        let mut ids: Vec<_> = connections.keys().collect();
        ids.sort_unstable();
        let chosen: Vec<_> = ids.into_iter().filter(|_| which()).collect();
        chosen.iter().for_each(|id| connections[id].cancel());
        chosen.len()
    }

    /// Lets a fault strike the next connection that it fits.
    pub(crate) fn arm(&self, fault: Fault) {
        self.state.armed.lock().unwrap().push(fault);
    }

    /// Holds up everything, or lets it flow again.
    pub(crate) fn let_flow(&self, flowing: bool) {
        self.state.flowing.send_replace(flowing);
    }

    /// Strikes no more, and holds up nothing; how many connections were struck so far.
    pub(crate) fn heal(&self) -> usize {
        self.state.armed.lock().unwrap().clear();
        self.let_flow(true);
        self.state.struck.load(Ordering::Relaxed)
    }
}

impl Drop for Proxy {
    fn drop(&mut self) {
        self.accepting.abort();
        self.drop_connections(|| true);
    }
}

async fn accept(listener: TcpListener, state: Arc<State>) {
    for id in 0.. {
        let Ok((client, _)) = listener.accept().await else { continue };
        let lost = CancellationToken::new();
        state.connections.lock().unwrap().insert(id, lost.clone());
        let state = Arc::clone(&state);
        tokio::spawn(async move {
            tokio::select! {
                _ = relay(client, &state) => {}
                () = lost.cancelled() => {}
            }
            state.connections.lock().unwrap().remove(&id);
        });
    }
}

/// Passes bytes on until one side closes or a fault strikes; returning closes both sides.
async fn relay(mut client: TcpStream, state: &State) -> io::Result<()> {
    client.set_nodelay(true)?;
    let mut server = UnixStream::connect(&state.socket).await?;
    let (mut request, mut answer) = (vec![0; 1 << 16], vec![0; 1 << 16]);
    let mut flowing = state.flowing.subscribe();
    let mut losing = false;
    loop {
        let _ = flowing.wait_for(|flowing| *flowing).await;
        tokio::select! {
            read = client.read(&mut request) => {
                let bytes = &request[..read?];
                if bytes.is_empty() {
                    return Ok(());
                }
                let _ = flowing.wait_for(|flowing| *flowing).await;
                match state.strike(|fault| fault.fits_request(bytes)) {
                    Some(Fault::CutRequest(length)) => return server.write_all(&bytes[..length]).await,
                    Some(_) => losing = true,
                    None => {}
                }
                server.write_all(bytes).await?;
            }
            read = server.read(&mut answer) => {
                let bytes = &answer[..read?];
                if bytes.is_empty() || losing {
                    return Ok(());
                }
                let _ = flowing.wait_for(|flowing| *flowing).await;
                match state.strike(|fault| matches!(fault, Fault::CutAnswer(length) if *length < bytes.len())) {
                    Some(Fault::CutAnswer(length)) => return client.write_all(&bytes[..length]).await,
                    _ => client.write_all(bytes).await?,
                }
            }
        }
    }
}

impl State {
    fn strike(&self, fits: impl Fn(&Fault) -> bool) -> Option<Fault> {
        let mut armed = self.armed.lock().unwrap();
        let index = armed.iter().position(fits)?;
        self.struck.fetch_add(1, Ordering::Relaxed);
        Some(armed.swap_remove(index))
    }
}

impl Fault {
    fn fits_request(&self, bytes: &[u8]) -> bool {
        match self {
            Self::CutRequest(length) => *length < bytes.len(),
            Self::LoseAnswer => true,
            Self::LoseCommit => bytes.windows(7).any(|window| window == b"COMMIT\0"),
            Self::CutAnswer(_) => false,
        }
    }
}
