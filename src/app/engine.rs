//! The GOST engine of OpenSSL, loaded without anything to be configured.
//!
//! OpenSSL reads its configuration once, when it is first used, from the file that `OPENSSL_CONF`
//! names. So a process that was started without it, on a machine that has the engine, writes a
//! configuration that nobody else can see or change and becomes itself again with it.

use std::env;
use std::fs::File;
use std::io::{self, Write};
use std::os::fd::AsRawFd;
use std::os::unix::process::CommandExt;
use std::path::Path;
use std::process::{self, Command};

use rustix::io::{FdFlags, fcntl_setfd};

/// Where Debian and others put engines of OpenSSL 3.
const PLACES: [&str; 5] = [
    "/usr/lib/x86_64-linux-gnu/engines-3/gost.so",
    "/usr/lib/aarch64-linux-gnu/engines-3/gost.so",
    "/usr/lib64/engines-3/gost.so",
    "/usr/lib/engines-3/gost.so",
    "/usr/local/lib/engines-3/gost.so",
];

/// Which process has been begun again: processes that it starts have another number, and the
/// configuration is not theirs.
const BEGUN: &str = "KONTINGENT_OPENSSL_OF";

/// Begins the process again with the engine, when it is there and OpenSSL was not configured by
/// whoever started us. Returns when there is nothing to do or it could not be done; what can be
/// verified is then told at the start of the service.
pub fn load() {
    let ours = env::var_os(BEGUN);
    let begun = ours.as_ref().is_some_and(|ours| *ours == *process::id().to_string());
    if begun || (ours.is_none() && env::var_os("OPENSSL_CONF").is_some()) {
        return;
    }
    let Some(engine) = PLACES.iter().find(|place| Path::new(place).exists()) else { return };
    if let Err(error) = begin_again(engine) {
        eprintln!("Модуль ГОСТ {engine} не загружен: {error}");
    }
}

fn begin_again(engine: &str) -> io::Result<()> {
    let configuration = configuration(engine)?;
    fcntl_setfd(&configuration, FdFlags::empty())?;
    let mut arguments = env::args_os();
    let mut command = Command::new(env::current_exe()?);
    if let Some(name) = arguments.next() {
        command.arg0(name);
    }
    let path = format!("/proc/self/fd/{}", configuration.as_raw_fd());
    Err(command
        .args(arguments)
        .env("OPENSSL_CONF", path)
        .env(BEGUN, process::id().to_string())
        .exec())
}

/// A file without a name.
fn configuration(engine: &str) -> io::Result<File> {
    let mut file = tempfile::tempfile()?;
    write!(
        file,
        "openssl_conf = init\n[init]\nengines = engines\n[engines]\ngost = gost\n[gost]\n\
         engine_id = gost\ndynamic_path = {engine}\ndefault_algorithms = ALL\n"
    )?;
    Ok(file)
}
