//! The `tidegate` command.

use std::process::ExitCode;

#[global_allocator]
static ALLOCATOR: tidegate_memory::Allocator = tidegate_memory::Allocator;

fn main() -> ExitCode {
    tidegate::cli::main()
}
