//! The one binary, `annals`.

use std::process::ExitCode;

fn main() -> ExitCode {
    api::cli::main()
}
