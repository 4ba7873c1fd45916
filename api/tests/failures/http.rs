//! HTTP by hand, because no client library sends half a request.

use std::{collections::HashMap, fmt, net::SocketAddr, time::Duration};

use serde_json::Value;
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::TcpStream,
    time::timeout,
};

/// How long a client waits for an answer: longer than the servers wait for anything.
const PATIENCE: Duration = Duration::from_secs(40);

/// A request.
#[derive(Clone, Debug)]
pub(crate) struct Call {
    pub(crate) method: &'static str,
    pub(crate) path: String,
    pub(crate) token: Option<String>,
    pub(crate) body: Value,
    /// Its `X-Request-Id`, unique, by which the journal tells which events it has caused.
    pub(crate) id: String,
}

/// How long a client stays.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Manner {
    /// Until the answer has come.
    Waits,
    /// It sends half of the request, and closes the connection.
    LeavesMidway,
    /// It sends all of it, and closes the connection after a while.
    LeavesAfter(Duration),
}

/// A whole answer.
#[derive(Clone)]
pub(crate) struct Answer {
    pub(crate) status: u16,
    pub(crate) headers: HashMap<String, String>,
    pub(crate) json: Value,
}

impl Answer {
    pub(crate) fn is_success(&self) -> bool {
        (200..300).contains(&self.status)
    }

    /// The journal's position that it tells, if it tells one.
    pub(crate) fn position(&self) -> Option<u64> {
        self.headers.get("annals-position")?.parse().ok()
    }

    /// The problem's code.
    pub(crate) fn code(&self) -> &str {
        self.json["code"].as_str().unwrap_or_default()
    }

    /// A text of `data`.
    #[track_caller]
    pub(crate) fn text_of(&self, field: &str) -> String {
        self.json["data"][field].as_str().unwrap_or_else(|| panic!("no {field}: {self:?}")).to_owned()
    }
}

impl fmt::Debug for Answer {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "{} at {:?}: {}", self.status, self.position(), self.json)
    }
}

/// Sends a request; nothing, if no whole answer has come.
pub(crate) async fn send(address: SocketAddr, call: &Call, manner: Manner) -> Option<Answer> {
    timeout(PATIENCE, try_send(address, call, manner)).await.ok()?.ok()?
}

async fn try_send(address: SocketAddr, call: &Call, manner: Manner) -> std::io::Result<Option<Answer>> {
    let mut stream = TcpStream::connect(address).await?;
    let request = written(call);
    let mut answer = Vec::new();
    match manner {
        Manner::LeavesMidway => {
            stream.write_all(&request[..request.len() / 2]).await?;
            return Ok(None);
        }
        Manner::LeavesAfter(patience) => {
            stream.write_all(&request).await?;
            match timeout(patience, stream.read_to_end(&mut answer)).await {
                Ok(read) => read?,
                Err(_) => return Ok(None),
            };
        }
        Manner::Waits => {
            stream.write_all(&request).await?;
            stream.read_to_end(&mut answer).await?;
        }
    }
    Ok(parsed(&answer))
}

fn written(call: &Call) -> Vec<u8> {
    let Call { method, path, token, body, id } = call;
    let body = if body.is_null() { String::new() } else { body.to_string() };
    let authorization =
        token.as_ref().map_or(String::new(), |token| format!("Authorization: Bearer {token}\r\n"));
    format!(
        "{method} {path} HTTP/1.1\r\nHost: annals\r\nConnection: close\r\nX-Request-Id: {id}\r\n{authorization}\
         Content-Type: application/json\r\nContent-Length: {}\r\n\r\n{body}",
        body.len()
    )
    .into_bytes()
}

/// The answer, if it is a whole one: a server that is killed may have sent a part of it.
fn parsed(bytes: &[u8]) -> Option<Answer> {
    let end = bytes.windows(4).position(|window| window == b"\r\n\r\n")?;
    let mut lines = std::str::from_utf8(&bytes[..end]).ok()?.split("\r\n");
    let status = lines.next()?.split(' ').nth(1)?.parse().ok()?;
    let header = |line: &str| {
        let (name, value) = line.split_once(": ")?;
        Some((name.to_ascii_lowercase(), value.to_owned()))
    };
    let headers: HashMap<_, _> = lines.filter_map(header).collect();
    let body = &bytes[end + 4..];
    let length: usize = headers.get("content-length").map_or(Some(0), |length| length.parse().ok())?;
    if body.len() != length {
        return None;
    }
    let json = if body.is_empty() { Value::Null } else { serde_json::from_slice(body).ok()? };
    Some(Answer { status, headers, json })
}
