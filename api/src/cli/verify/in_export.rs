//! Checking a file.

use std::{
    fs::File,
    io::{self, BufRead, BufReader},
};

use anyhow::Context;
use infrastructure::examiner::examine_export;

use super::{Verdict, VerifyArgs, key, since, tell};
use crate::cli::progress::{Unit, bar};

/// How much of the file is read at a time.
const BUFFER: usize = 1 << 20;

pub(super) fn verify(args: &VerifyArgs) -> anyhow::Result<Verdict> {
    let key = key(args.key.as_deref().unwrap_or_default())?;
    let since = since(args, &key)?;
    let path = args.file.as_deref().context("which file?")?;
    let can_t = || format!("can't read {}", path.display());
    let (input, size): (Box<dyn BufRead>, _) = if path.as_os_str() == "-" {
        (Box::new(io::stdin().lock()), None)
    } else {
        let file = File::open(path).with_context(can_t)?;
        let size = file.metadata().with_context(can_t)?.len();
        (Box::new(BufReader::with_capacity(BUFFER, file)), Some(size))
    };
    let bar = bar(size, Unit::Bytes);
    let report = examine_export(input, &key, since.as_ref(), |bytes| bar.inc(bytes)).with_context(can_t)?;
    bar.finish_and_clear();
    Ok(tell(&report)?)
}
