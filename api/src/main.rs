//! The one binary, `annals`.

use std::process::ExitCode;

use mimalloc::MiMalloc;

/// Much of what a command costs is many small allocations, which glibc's allocator is slower at.
#[global_allocator]
static ALLOCATOR: MiMalloc = MiMalloc;

fn main() -> ExitCode {
    api::cli::main()
}
