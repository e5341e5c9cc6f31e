//! What says of itself when it was made: ids of messages, UUIDs of version 1, and calls for what
//! waits. Neither may be long ago nor still to come.

use chrono::{DateTime, TimeDelta, Utc};
use uuid::Uuid;

use crate::codec::node::Flaw;
use crate::codec::smev3::{Fault, Stamp, parse_uuid};
use crate::federal::Settings;
use crate::federal::fault::invalid;

/// Judges the id of a message that is new now.
pub(super) fn message_id(
    written: &str,
    now: DateTime<Utc>,
    settings: &Settings,
) -> Result<Uuid, Fault> {
    let id = parse_uuid(written).filter(|id| id.get_version_num() == 1);
    let id = id.filter(|id| id.get_variant() == uuid::Variant::RFC4122);
    let id = id.ok_or(Fault::InvalidMessageIdFormat)?;
    let (seconds, nanos) = id.get_timestamp().ok_or(Fault::InvalidMessageIdFormat)?.to_unix();
    let seconds = i64::try_from(seconds).map_err(|_| Fault::StaleMessageId)?;
    let made = DateTime::from_timestamp(seconds, nanos).ok_or(Fault::StaleMessageId)?;
    let fresh = made + settings.message_age >= now && made <= now + settings.clock_skew;
    if fresh { Ok(id) } else { Err(Fault::StaleMessageId) }
}

/// Says whether a call for what waits was made just now. Whoever once saw it could else call again for
/// ever, and be handed what waits then. It may be twice as old as an id: whose clock is wrong is told so
/// by its ids, and can still call for that.
pub(super) fn call(stamp: &Stamp, now: DateTime<Utc>, settings: &Settings) -> Result<(), Fault> {
    // Where on Earth its clock stands is not known.
    let zones = if stamp.zoned { TimeDelta::zero() } else { TimeDelta::hours(14) };
    let age = 2 * settings.message_age;
    let fresh = stamp.at + age + zones >= now && stamp.at <= now + settings.clock_skew + zones;
    if fresh {
        return Ok(());
    }
    let text = format!(
        "Timestamp не старше {} ч и не из будущего; часы узла: {}",
        age.as_secs() / 3600,
        now.format("%Y-%m-%dT%H:%M:%SZ")
    );
    Err(invalid(&[Flaw { place: stamp.place, text }]))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_fresh_ids_of_version_one_in_lower_case_are_taken() {
        let settings = Settings::default();
        let judge = |id: &str, now: &str| message_id(id, now.parse().unwrap(), &settings);
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
