//! The peer of tracking and of rebuilding: COPY into the journal's own table, and out of it.

use std::time::Instant;

use anyhow::{Context, ensure};
use domain::ids::TenantId;
use futures_util::TryStreamExt;
use sqlx::PgConnection;
use uuid::Uuid;

use super::measure::{
    quantiles::Latencies,
    stopwatch::{Done, Stopwatch},
};

/// In this order the first three columns have the same width in every row.
const COLUMNS: &str =
    "tenant_id, position, stream_id, sequence, recorded_at, stream_kind, event_type, event_version,
                       payload, metadata, leaf_hash";
/// What COPY's binary format begins with: a signature, flags and the length of an extension, both zero.
const HEADER: &[u8] = b"PGCOPY\n\xff\r\n\0\0\0\0\0\0\0\0\0";
/// What it ends with.
const TRAILER: [u8; 2] = (-1_i16).to_be_bytes();
/// Where a row's tenant, position and stream are: behind the number of fields, each behind its length.
const TENANT: usize = 2 + 4;
const POSITION: usize = TENANT + 16 + 4;
const STREAM: usize = POSITION + 8 + 4;
/// How much is sent in one message.
const MESSAGE: usize = 256 * 1024;

/// Rows of the journal, as COPY writes and reads them.
pub(super) struct Rows(Vec<Vec<u8>>);

impl Rows {
    /// Tracked events as the server has stored them, so that COPY moves the same bytes as it did.
    pub(super) async fn tracked(connection: &mut PgConnection, tenant: TenantId) -> anyhow::Result<Self> {
        let newest = format!(
            "COPY (SELECT {COLUMNS} FROM events WHERE tenant_id = '{}' AND event_type = 'EventTracked'
                   ORDER BY position DESC LIMIT 5000) TO STDOUT (FORMAT binary)",
            tenant.uuid()
        );
        let messages: Vec<_> = connection.copy_out_raw(&newest).await?.try_collect().await?;
        let all = messages.concat();
        let mut rest = all.strip_prefix(HEADER).context("COPY begins with something else")?;
        let mut rows = Vec::new();
        while rest != TRAILER {
            let (row, after) = rest.split_at(length(rest).context("COPY ends within a row")?);
            rows.push(row.to_owned());
            rest = after;
        }
        ensure!(!rows.is_empty(), "there are no tracked events to copy");
        Ok(Self(rows))
    }

    /// `count` rows of a tenant that nothing else knows of, in messages of COPY; `per_copy` in each COPY.
    fn prepare(&self, count: usize, per_copy: usize) -> Vec<Vec<Vec<u8>>> {
        let tenant = Uuid::now_v7();
        let rows: Vec<_> = (1..=count as u64).zip(self.0.iter().cycle()).collect();
        let copy = |rows: &[(u64, &Vec<u8>)]| {
            let mut messages = vec![HEADER.to_owned()];
            for (position, row) in rows {
                if messages.last().is_none_or(|message| message.len() > MESSAGE) {
                    messages.push(Vec::with_capacity(MESSAGE + row.len()));
                }
                let Some(message) = messages.last_mut() else { continue };
                let start = message.len();
                message.extend_from_slice(row);
                let mut set =
                    |at: usize, bytes: &[u8]| message[start + at..][..bytes.len()].copy_from_slice(bytes);
                set(TENANT, tenant.as_bytes());
                set(POSITION, &position.to_be_bytes());
                // A tracked event's stream is a hash, so the index is met at random.
                set(STREAM, &rand::random::<[u8; 16]>());
            }
            messages.push(TRAILER.to_vec());
            messages
        };
        rows.chunks(per_copy).map(copy).collect()
    }
}

/// Copies `count` rows into the journal's table, in transactions of `per_copy` rows each.
pub(super) async fn copy_in(
    connection: &mut PgConnection,
    rows: &Rows,
    count: usize,
    per_copy: usize,
) -> anyhow::Result<Done> {
    let copies = rows.prepare(count, per_copy);
    let statement = format!("COPY events ({COLUMNS}) FROM STDIN (FORMAT binary)");
    let (mut copied, mut latencies) = (0, Latencies::default());
    let stopwatch = Stopwatch::start();
    for messages in copies {
        let begin = Instant::now();
        let mut copy = connection.copy_in_raw(&statement).await?;
        for message in messages {
            copy.send(message).await?;
        }
        copied += copy.finish().await?;
        latencies.push(begin.elapsed());
    }
    ensure!(copied == count as u64, "COPY wrote {copied} rows, not {count}");
    Ok(stopwatch.stop(copied, latencies))
}

/// Copies all rows of a tenant out of the journal's table, in order.
pub(super) async fn copy_out(connection: &mut PgConnection, tenant: TenantId) -> anyhow::Result<Done> {
    let statement = format!(
        "COPY (SELECT {COLUMNS} FROM events WHERE tenant_id = '{}' ORDER BY position) TO STDOUT (FORMAT binary)",
        tenant.uuid()
    );
    let stopwatch = Stopwatch::start();
    let mut messages = connection.copy_out_raw(&statement).await?;
    let mut count: u64 = 0;
    while messages.try_next().await?.is_some() {
        count += 1;
    }
    // A row is a message, and so is the trailer.
    Ok(stopwatch.stop(count.saturating_sub(1), Latencies::default()))
}

/// How long the row that `bytes` begin with is.
fn length(bytes: &[u8]) -> Option<usize> {
    let fields = i16::from_be_bytes(*bytes.first_chunk()?);
    let mut end = 2;
    for _ in 0..fields {
        let length = i32::from_be_bytes(*bytes.get(end..)?.first_chunk()?);
        // -1 stands for null, which has no bytes.
        end += 4 + usize::try_from(length).unwrap_or(0);
    }
    (end <= bytes.len()).then_some(end)
}
