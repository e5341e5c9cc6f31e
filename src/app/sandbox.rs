//! `kontingent sandbox`: a node to try a client or a provider against, in one process and one folder.

use std::fs::{self, File, TryLockError};
use std::path::Path;

use anyhow::{Context, Result, bail};

use crate::app::cli;
use crate::app::service::Service;
use crate::config::Config;
use crate::exchange::sandbox::MNEMONIC;
use crate::model::clock::Clock;
use crate::ops::demo::Stage;
use crate::ops::output::say;
use crate::ops::sandbox::{Emulator, Folder, prepare, welcome};
use crate::telemetry::{LogFormat, start_logging};

/// What a sandbox writes to the log: what went wrong, and what its own modules tell of their work.
const LOG: &str = "warn,kontingent::exchange::sandbox=info,kontingent::ops::sandbox=info";

/// Keeps a second sandbox out of the folder as long as this process lives.
fn lock(folder: &Path) -> Result<File> {
    let path = folder.join("sandbox.lock");
    let file =
        File::create(&path).with_context(|| format!("не удалось создать {}", path.display()))?;
    match file.try_lock() {
        Ok(()) => Ok(file),
        Err(TryLockError::WouldBlock) => {
            bail!("в папке {} уже работает песочница: укажите другую папку", folder.display())
        }
        Err(TryLockError::Error(error)) => {
            Err(error).with_context(|| format!("файл {} не блокируется", path.display()))
        }
    }
}

/// Runs a sandbox until it is told to end. No configuration is read: everything is in its folder.
pub(super) async fn run(options: &cli::Sandbox) -> Result<bool> {
    start_logging(LOG, LogFormat::Text);
    let path = &options.folder;
    fs::create_dir_all(path).with_context(|| format!("не удалось создать {}", path.display()))?;
    let path = fs::canonicalize(path).with_context(|| path.display().to_string())?;
    let _alone = lock(&path)?;
    let folder = Folder::at(path.clone());
    let mut config = Config::embedded(path);
    config.http.listen = options.listen;
    MNEMONIC.clone_into(&mut config.federal.mnemonic);
    "Песочница".clone_into(&mut config.federal.name);
    let service = Service::start_sandbox(&config, Clock::System, folder.scenarios()).await;
    let service = service.context("песочница не запущена")?;
    let exchange = service.exchange().clone();
    let stage = Stage { address: service.address, health: service.health, exchange };
    prepare(&stage, &folder).await?;
    welcome(&stage, &folder)?;
    let emulator = Emulator::new(&stage, folder)?;
    tokio::select! {
        () = emulator.run() => {}
        interrupted = tokio::signal::ctrl_c() => interrupted?,
    }
    say("Песочница останавливается.");
    service.stop().await;
    Ok(true)
}
