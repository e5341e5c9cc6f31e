//! Time as a parameter: the one place that asks the machine what time it is.

use chrono::{DateTime, Utc};

/// A source of the current UTC instant; tests fix it.
#[derive(Clone, Copy, Debug, Default)]
pub enum Clock {
    /// The machine's clock.
    #[default]
    System,
    /// Always the same instant.
    Fixed(DateTime<Utc>),
}

impl Clock {
    /// Says what time it is.
    pub fn now(self) -> DateTime<Utc> {
        match self {
            #[expect(clippy::disallowed_methods, reason = "the one place that reads the clock")]
            Self::System => Utc::now(),
            Self::Fixed(at) => at,
        }
    }
}
