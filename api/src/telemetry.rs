//! Logs: lines of JSON for machines, readable ones on a terminal.

use std::io::IsTerminal;

use tracing_subscriber::{EnvFilter, fmt, prelude::*};

/// Who reads the logs of a process that is not on a terminal.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Reader {
    /// A log collector: lines of JSON.
    Machine,
    /// Somebody who has called a command: plain lines.
    Person,
}

/// Sends this process's logs to standard error. `filter` is in the syntax of `RUST_LOG`.
pub fn start(filter: &str, reader: Reader) -> anyhow::Result<()> {
    let filter =
        EnvFilter::try_new(filter).map_err(|error| anyhow::anyhow!("configuration: log: {error}"))?;
    let registry = tracing_subscriber::registry().with(filter);
    let terminal = std::io::stderr().is_terminal();
    if terminal || reader == Reader::Person {
        let lines = fmt::layer().compact().with_ansi(terminal).with_target(reader == Reader::Machine);
        registry.with(lines.with_writer(std::io::stderr)).try_init()?;
    } else {
        let json = fmt::layer().json().flatten_event(true).with_current_span(true).with_span_list(false);
        registry.with(json.with_writer(std::io::stderr)).try_init()?;
    }
    Ok(())
}
