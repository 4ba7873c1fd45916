//! Counting round trips, by standing between the projector and PostgreSQL.

use std::{
    io,
    path::Path,
    sync::{
        Arc,
        atomic::{AtomicBool, AtomicU64, Ordering},
    },
};

use tokio::{
    io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt},
    net::{UnixListener, UnixStream},
};

/// How often somebody has asked and then waited for an answer.
#[derive(Clone, Default)]
pub(crate) struct RoundTrips(Arc<AtomicU64>);

impl RoundTrips {
    /// How many there were so far.
    pub(crate) fn count(&self) -> u64 {
        self.0.load(Ordering::SeqCst)
    }

    /// Listens on `socket` and hands everything on to `server`, until the runtime ends.
    pub(crate) fn relay(&self, socket: &Path, server: &Path) -> io::Result<()> {
        let (listener, server, counted) = (UnixListener::bind(socket)?, server.to_owned(), self.clone());
        tokio::spawn(async move {
            while let Ok((client, _)) = listener.accept().await {
                let Ok(server) = UnixStream::connect(&server).await else { return };
                let ((from_client, to_client), (from_server, to_server)) =
                    (client.into_split(), server.into_split());
                // Whoever spoke last: a round trip begins when the client speaks after the server did.
                let server_spoke = Arc::new(AtomicBool::new(true));
                let (counted, spoke) = (counted.0.clone(), Arc::clone(&server_spoke));
                tokio::spawn(pass_on(from_client, to_server, move || {
                    if server_spoke.swap(false, Ordering::SeqCst) {
                        counted.fetch_add(1, Ordering::SeqCst);
                    }
                }));
                tokio::spawn(pass_on(from_server, to_client, move || spoke.store(true, Ordering::SeqCst)));
            }
        });
        Ok(())
    }
}

async fn pass_on(
    mut from: impl AsyncRead + Unpin,
    mut to: impl AsyncWrite + Unpin,
    spoke: impl Fn(),
) -> io::Result<()> {
    let mut buffer = vec![0; 64 << 10];
    loop {
        let length = from.read(&mut buffer).await?;
        if length == 0 {
            return to.shutdown().await;
        }
        spoke();
        to.write_all(&buffer[..length]).await?;
    }
}
