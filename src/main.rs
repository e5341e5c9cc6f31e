//! The `kontingent` binary.

use std::process::ExitCode;

use clap::Parser;
use kontingent::app::cli::Cli;
use kontingent::app::run::dispatch;

#[tokio::main]
async fn main() -> ExitCode {
    match dispatch(Cli::parse()).await {
        Ok(true) => ExitCode::SUCCESS,
        Ok(false) => ExitCode::FAILURE,
        Err(error) => {
            eprintln!("Ошибка: {error:#}");
            ExitCode::FAILURE
        }
    }
}
