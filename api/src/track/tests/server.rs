//! A server that answers as a test wants, over real sockets: what no well-behaved server does, too.

use std::{
    collections::HashSet,
    io::{BufRead, BufReader, Write},
    net::{TcpListener, TcpStream},
    sync::{
        Arc, Mutex,
        atomic::{AtomicUsize, Ordering},
    },
    thread,
    time::Duration,
};

use serde_json::{Value, json};

/// A request as it came.
pub(super) struct Request {
    /// How many came before it.
    pub(super) nth: usize,
    pub(super) line: String,
    pub(super) headers: String,
    pub(super) body: Vec<u8>,
}

/// What happens to a request.
pub(super) enum Reply {
    /// An answer: status, further header lines, body.
    Answer(u16, &'static str, String),
    /// The connection ends in the middle of this answer.
    Broken(String),
}

/// What a test sees of the server afterwards.
#[derive(Default)]
pub(super) struct Seen {
    pub(super) requests: AtomicUsize,
    pub(super) at_once: AtomicUsize,
    pub(super) most_at_once: AtomicUsize,
    known: Mutex<HashSet<String>>,
}

pub(super) struct TestServer {
    pub(super) url: String,
    pub(super) seen: Arc<Seen>,
}

impl TestServer {
    /// Starts a server; it ends with the tests.
    pub(super) fn start(reply: impl Fn(&Request, &Seen) -> Reply + Send + Sync + 'static) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let url = format!("http://{}", listener.local_addr().unwrap());
        let seen = Arc::new(Seen::default());
        let (reply, shared) = (Arc::new(reply), Arc::clone(&seen));
        thread::spawn(move || {
            for stream in listener.incoming() {
                let (reply, seen) = (Arc::clone(&reply), Arc::clone(&shared));
                thread::spawn(move || serve(stream.unwrap(), &*reply, &seen));
            }
        });
        Self { url, seen }
    }

    /// A server that takes every event, and knows it when it comes again.
    pub(super) fn accepting() -> Self {
        Self::start(|request, seen| request.accepted(seen))
    }
}

impl Seen {
    pub(super) fn requests(&self) -> usize {
        self.requests.load(Ordering::SeqCst)
    }

    /// Waits until that many requests have come.
    pub(super) async fn wait_for(&self, requests: usize) {
        while self.requests() < requests {
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
    }

    /// The message ids of all accepted events.
    pub(super) fn message_ids(&self) -> HashSet<String> {
        self.known.lock().unwrap().clone()
    }
}

impl Request {
    pub(super) fn events(&self) -> Vec<Value> {
        let body: Value = serde_json::from_slice(&self.body).unwrap();
        body["batch"].as_array().unwrap().clone()
    }

    /// The answer of a server that takes every event.
    pub(super) fn accept(&self, seen: &Seen) -> String {
        let mut known = seen.known.lock().unwrap();
        let events = self.events();
        let accepted = events
            .iter()
            .filter(|event| known.insert(event["messageId"].as_str().unwrap().to_owned()))
            .count();
        answer(accepted, events.len() - accepted, json!([]))
    }

    pub(super) fn accepted(&self, seen: &Seen) -> Reply {
        Reply::Answer(200, "", self.accept(seen))
    }
}

pub(super) fn answer(accepted: usize, duplicates: usize, rejected: Value) -> String {
    let data = json!({"accepted": accepted, "duplicates": duplicates, "rejected": rejected});
    json!({"success": true, "data": data}).to_string()
}

fn serve(stream: TcpStream, reply: &dyn Fn(&Request, &Seen) -> Reply, seen: &Seen) {
    let mut output = stream.try_clone().unwrap();
    let mut input = BufReader::new(stream);
    while let Some(mut request) = read(&mut input) {
        request.nth = seen.requests.fetch_add(1, Ordering::SeqCst);
        seen.most_at_once.fetch_max(seen.at_once.fetch_add(1, Ordering::SeqCst) + 1, Ordering::SeqCst);
        let reply = reply(&request, seen);
        seen.at_once.fetch_sub(1, Ordering::SeqCst);
        let (status, headers, body, sent) = match &reply {
            Reply::Answer(status, headers, body) => (*status, *headers, body, body.len()),
            Reply::Broken(body) => (200, "", body, body.len() / 2),
        };
        let head = format!("HTTP/1.1 {status} -\r\ncontent-length: {}\r\n{headers}\r\n", body.len());
        // The client may be gone.
        let _ = output.write_all(&[head.as_bytes(), &body.as_bytes()[..sent]].concat());
        if sent < body.len() {
            return;
        }
    }
}

fn read(input: &mut impl BufRead) -> Option<Request> {
    let mut line = String::new();
    input.read_line(&mut line).ok().filter(|length| *length > 0)?;
    let mut headers = String::new();
    while !headers.ends_with("\r\n\r\n") && headers != "\r\n" {
        input.read_line(&mut headers).ok().filter(|length| *length > 0)?;
    }
    let length = headers.lines().find_map(|header| {
        let (name, value) = header.split_once(':')?;
        name.eq_ignore_ascii_case("content-length").then(|| value.trim().parse().unwrap())
    });
    let mut body = vec![0; length.unwrap_or(0)];
    input.read_exact(&mut body).ok()?;
    Some(Request { nth: 0, line: line.trim().to_owned(), headers, body })
}
