//! An HTTP/1.1 connection that costs next to nothing.
//!
//! The load generator shares the cores with what it measures, so a general client's pool, URL handling, header maps and
//! body streams would be measured as the server's slowness. Requests are bytes that were made before the clock starts;
//! of an answer it looks at the status, two headers and, if somebody asks, the body.

use std::{net::SocketAddr, str};

use anyhow::{Context, bail, ensure};
use serde_json::Value;
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::TcpStream,
};

/// A keep-alive connection to the server.
pub(crate) struct Connection {
    stream: TcpStream,
    received: Vec<u8>,
}

/// An answer; its body is the connection's until the next request.
pub(crate) struct Answer<'a> {
    /// The status code.
    pub(crate) status: u16,
    /// `Annals-Position`.
    pub(crate) position: Option<u64>,
    /// The body.
    pub(crate) body: &'a [u8],
}

/// What an answer's head says.
#[derive(Default)]
struct Head {
    status: u16,
    position: Option<u64>,
    length: usize,
}

/// A whole request; `authorization` is the header's value, empty for none.
pub(crate) fn request(method: &str, path: &str, authorization: &str, body: &str) -> Vec<u8> {
    let mut text = format!("{method} {path} HTTP/1.1\r\nhost: annals\r\n");
    if !authorization.is_empty() {
        text += &format!("authorization: {authorization}\r\n");
    }
    if method != "GET" {
        text += &format!("content-type: application/json\r\ncontent-length: {}\r\n", body.len());
    }
    text += "\r\n";
    text += body;
    text.into_bytes()
}

impl Connection {
    pub(crate) async fn open(address: SocketAddr) -> anyhow::Result<Self> {
        let stream = TcpStream::connect(address).await?;
        stream.set_nodelay(true)?;
        Ok(Self { stream, received: Vec::with_capacity(16 * 1024) })
    }

    /// Sends a request and waits for its answer, whatever its status.
    pub(crate) async fn send(&mut self, request: &[u8]) -> anyhow::Result<Answer<'_>> {
        self.stream.write_all(request).await?;
        self.received.clear();
        let (head, start) = loop {
            self.receive().await?;
            if let Some(end) = self.received.windows(4).position(|bytes| bytes == b"\r\n\r\n") {
                break (Head::parse(&self.received[..end])?, end + 4);
            }
        };
        while self.received.len() < start + head.length {
            self.receive().await?;
        }
        let body = &self.received[start..start + head.length];
        Ok(Answer { status: head.status, position: head.position, body })
    }

    async fn receive(&mut self) -> anyhow::Result<()> {
        let count = self.stream.read_buf(&mut self.received).await?;
        ensure!(count > 0, "the server has closed the connection");
        Ok(())
    }
}

impl Head {
    fn parse(head: &[u8]) -> anyhow::Result<Self> {
        let head = str::from_utf8(head)?;
        let mut lines = head.split("\r\n");
        let status =
            lines.next().and_then(|line| line.split(' ').nth(1)).context("an answer without a status")?;
        let mut parsed = Self { status: status.parse()?, ..Self::default() };
        for (name, value) in lines.filter_map(|line| line.split_once(':')) {
            let value = value.trim_ascii();
            if name.eq_ignore_ascii_case("content-length") {
                parsed.length = value.parse()?;
            } else if name.eq_ignore_ascii_case("annals-position") {
                parsed.position = Some(value.parse()?);
            } else if name.eq_ignore_ascii_case("transfer-encoding") {
                bail!("an answer in chunks, which this client does not read");
            }
        }
        Ok(parsed)
    }
}

impl Answer<'_> {
    /// Fails unless the status is a success.
    pub(crate) fn succeeded(self) -> anyhow::Result<Self> {
        let Self { status, body, .. } = &self;
        ensure!(
            (200..300).contains(status),
            "the server answered {status}: {}",
            String::from_utf8_lossy(body)
        );
        Ok(self)
    }

    /// The body as JSON.
    pub(crate) fn json(&self) -> anyhow::Result<Value> {
        serde_json::from_slice(self.body).with_context(|| String::from_utf8_lossy(self.body).into_owned())
    }

    /// The position that a write has reached.
    pub(crate) fn position(&self) -> anyhow::Result<u64> {
        self.position.context("an answer without Annals-Position")
    }
}
