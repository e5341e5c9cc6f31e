//! Questions of the federal segment and our answers, as XML of `schemas/federal/1.0`.

mod answer;
mod question;

pub use answer::{answer, attached};
pub use question::question;
