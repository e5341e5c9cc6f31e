//! Ids of messages: UUIDs of version 1 whose time is neither long ago nor still to come.

use chrono::{DateTime, Utc};
use uuid::Uuid;

use crate::codec::smev3::{Fault, parse_uuid};
use crate::federal::Settings;

/// Judges the id of a message that is new now.
pub(super) fn judge(written: &str, now: DateTime<Utc>, settings: &Settings) -> Result<Uuid, Fault> {
    let id = parse_uuid(written).filter(|id| id.get_version_num() == 1);
    let id = id.filter(|id| id.get_variant() == uuid::Variant::RFC4122);
    let id = id.ok_or(Fault::InvalidMessageIdFormat)?;
    let (seconds, nanos) = id.get_timestamp().ok_or(Fault::InvalidMessageIdFormat)?.to_unix();
    let seconds = i64::try_from(seconds).map_err(|_| Fault::StaleMessageId)?;
    let made = DateTime::from_timestamp(seconds, nanos).ok_or(Fault::StaleMessageId)?;
    let fresh = made + settings.message_age >= now && made <= now + settings.clock_skew;
    if fresh { Ok(id) } else { Err(Fault::StaleMessageId) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_fresh_ids_of_version_one_in_lower_case_are_taken() {
        let settings = Settings::default();
        let judge = |id: &str, now: &str| judge(id, now.parse().unwrap(), &settings);
        let id = "6dfbb380-6827-11ef-9a3b-0242ac110002";
        let made = "2024-09-01T06:00:00Z";
        assert_eq!(judge(id, made).unwrap().to_string(), id);
        assert!(judge(id, "2024-09-02T05:59:00Z").is_ok());
        assert_eq!(judge(id, "2024-09-02T06:01:00Z"), Err(Fault::StaleMessageId));
        assert!(judge(id, "2024-09-01T05:56:00Z").is_ok());
        assert_eq!(judge(id, "2024-09-01T05:50:00Z"), Err(Fault::StaleMessageId));
        for bad in [
            "6DFBB380-6827-11EF-9A3B-0242AC110002",
            "6dfbb380682711ef9a3b0242ac110002",
            "{6dfbb380-6827-11ef-9a3b-0242ac110002}",
            "6dfbb380-6827-41ef-9a3b-0242ac110002",
            "6dfbb380-6827-11ef-0a3b-0242ac110002",
            "",
        ] {
            assert_eq!(judge(bad, made), Err(Fault::InvalidMessageIdFormat), "{bad}");
        }
    }
}
