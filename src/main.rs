//! The `kontingent` binary.

use std::process::ExitCode;

use clap::Parser;
use kontingent::app::cli::Cli;
use kontingent::app::engine;
use kontingent::app::run::dispatch;

/// Frees and reuses small blocks at a fraction of the cost of the system's allocator, which took
/// a sixth of the gateway's time. Its version 2, without huge pages, gives back soon what a large
/// package needed; version 3 keeps twice as much.
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

fn main() -> ExitCode {
    engine::load();
    match run() {
        Ok(true) => ExitCode::SUCCESS,
        Ok(false) => ExitCode::FAILURE,
        Err(error) => {
            eprintln!("Ошибка: {error:#}");
            ExitCode::FAILURE
        }
    }
}

#[tokio::main]
async fn run() -> anyhow::Result<bool> {
    dispatch(Cli::parse()).await
}
