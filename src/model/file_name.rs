//! Names of folders and files in the store, as they may stand in an address without any encoding.

use crate::model::refusal::{Refusal, RefusalCode};

/// Longest name.
const LONGEST: usize = 200;

/// Whether a folder or a file may be called so.
pub fn is_good(name: &str) -> bool {
    let plain = |byte: u8| byte.is_ascii_alphanumeric() || b"-_.~".contains(&byte);
    (1..=LONGEST).contains(&name.len()) && !name.starts_with('.') && name.bytes().all(plain)
}

/// What whoever gave another name is told.
pub fn refusal() -> Refusal {
    Refusal::new(RefusalCode::RequestInvalid).detail(format!(
        "имя каталога и файла в хранилище: от 1 до {LONGEST} символов, только латинские буквы, \
         цифры и знаки «-», «_», «.», «~», первой не точка"
    ))
}
