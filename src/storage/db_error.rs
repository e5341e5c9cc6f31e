//! What can go wrong with the database: what passes by itself, told from bugs.

/// What a query failed for, by what the caller can do about it.
#[derive(Debug, thiserror::Error)]
pub enum DbError {
    /// No connection, or it broke: try again later.
    #[error("the database is unavailable: {}", told(.0))]
    Unavailable(#[source] sqlx::Error),
    /// Deadlock, serialisation failure or lock timeout: run the transaction again.
    #[error("the transaction met a concurrent one")]
    Conflict(#[source] sqlx::Error),
    /// A unique key is taken.
    #[error("a unique key is taken")]
    Duplicate(#[source] sqlx::Error),
    /// Anything else: a bug, or a schema that is not ours.
    #[error("the query failed: {}", told(.0))]
    Query(#[source] sqlx::Error),
}

impl From<sqlx::Error> for DbError {
    fn from(error: sqlx::Error) -> Self {
        let code = match &error {
            sqlx::Error::Io(_)
            | sqlx::Error::Tls(_)
            | sqlx::Error::PoolTimedOut
            | sqlx::Error::PoolClosed
            | sqlx::Error::WorkerCrashed => return Self::Unavailable(error),
            sqlx::Error::Database(database) if database.is_unique_violation() => {
                return Self::Duplicate(error);
            }
            sqlx::Error::Database(database) => database.code().unwrap_or_default().into_owned(),
            _ => String::new(),
        };
        match cause(&code) {
            Cause::Conflict => Self::Conflict(error),
            Cause::Unavailable => Self::Unavailable(error),
            Cause::Other => Self::Query(error),
        }
    }
}

/// The error as logs may have it: databases quote values in their messages, so of theirs the code
/// alone is told.
fn told(error: &sqlx::Error) -> String {
    match error {
        sqlx::Error::Database(database) => {
            format!("code {}", database.code().as_deref().unwrap_or("unknown"))
        }
        _ => error.to_string(),
    }
}

#[derive(Debug, PartialEq, Eq)]
enum Cause {
    Conflict,
    Unavailable,
    Other,
}

/// What a code says: five characters of an SQLSTATE (PostgreSQL, appendix A), or the number of a
/// result of SQLite, whose low byte is the primary one.
fn cause(code: &str) -> Cause {
    if let (true, Ok(number)) = (code.len() < 5, code.parse::<u32>()) {
        return match number & 0xff {
            // BUSY, LOCKED.
            5 | 6 => Cause::Conflict,
            // IOERR, FULL, CANTOPEN.
            10 | 13 | 14 => Cause::Unavailable,
            _ => Cause::Other,
        };
    }
    match code {
        "40001" | "40P01" | "55P03" | "57014" => Cause::Conflict,
        // Shutdown, read-only standby, input or output failed.
        "57P01" | "57P02" | "57P03" | "25006" | "58030" => Cause::Unavailable,
        // Connections; memory, disk and places that ran out.
        _ if code.starts_with("08") || code.starts_with("53") => Cause::Unavailable,
        _ => Cause::Other,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_passes_by_itself_is_told_from_bugs() {
        for code in ["5", "261", "517", "773", "6", "262", "40001", "40P01", "55P03"] {
            assert_eq!(cause(code), Cause::Conflict, "{code}");
        }
        for code in ["10", "778", "13", "14", "53100", "53200", "08006", "58030", "57P01"] {
            assert_eq!(cause(code), Cause::Unavailable, "{code}");
        }
        for code in ["", "1", "19", "2067", "42P01", "22001"] {
            assert_eq!(cause(code), Cause::Other, "{code}");
        }
    }
}
