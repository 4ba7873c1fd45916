//! One server per data directory.

use std::fs::{File, OpenOptions, TryLockError};
use std::io::{Read, Write};
use std::path::Path;

use super::error::{EmbeddedPostgresError, io_error};

const FILE: &str = "postgres.lock";

/// Held as long as this value lives. The operating system lets go of it when the process ends, however it ends, so it
/// is never stale; the children don't inherit it.
#[derive(Debug)]
pub(super) struct DataDirectoryLock {
    _file: File,
}

impl DataDirectoryLock {
    pub(super) fn acquire(data_dir: &Path) -> Result<DataDirectoryLock, EmbeddedPostgresError> {
        let path = data_dir.join(FILE);
        let mut file = OpenOptions::new()
            .read(true)
            .write(true)
            .create(true)
            .truncate(false)
            .open(&path)
            .map_err(io_error("could not open", &path))?;
        match file.try_lock() {
            Ok(()) => {}
            Err(TryLockError::WouldBlock) => {
                let mut holder = String::new();
                // The number is a courtesy; the error is the same without it.
                file.read_to_string(&mut holder).ok();
                let holder = match holder.trim() {
                    "" => "unknown".to_owned(),
                    pid => pid.to_owned(),
                };
                return Err(EmbeddedPostgresError::InUse { holder, data_dir: data_dir.to_owned() });
            }
            Err(TryLockError::Error(error)) => return Err(io_error("could not lock", &path)(error)),
        }
        file.set_len(0)
            .and_then(|()| writeln!(file, "{}", std::process::id()))
            .map_err(io_error("could not write", &path))?;
        Ok(DataDirectoryLock { _file: file })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_second_is_told_who_holds_it() {
        let directory = tempfile::tempdir().unwrap();
        let first = DataDirectoryLock::acquire(directory.path()).unwrap();
        let error = DataDirectoryLock::acquire(directory.path()).unwrap_err().to_string();
        assert!(error.contains(&format!("process {}", std::process::id())), "{error}");
        assert!(error.contains(&directory.path().display().to_string()), "{error}");
        drop(first);
        DataDirectoryLock::acquire(directory.path()).unwrap();
    }
}
