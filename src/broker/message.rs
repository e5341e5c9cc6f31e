//! What a ring says, and its bytes: `{"v":1,"tasks":[[package,attempt],…]}`.

use serde::{Deserialize, Serialize};

use crate::model::ids::{AttemptId, PackageNo};

/// Version of the message.
const VERSION: u32 = 1;

/// A message never holds more tasks: what a worker has in hand should be little.
const MAX_TASKS: usize = 50;

/// Nor more bytes of JSON.
const MAX_BYTES: usize = 1_000;

/// An attempt to process.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct Task(pub PackageNo, pub AttemptId);

/// Tasks of one partition.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Message {
    /// Partition of the supplier whose packages these are.
    pub partition: u16,
    /// In the order in which they should be done.
    pub tasks: Vec<Task>,
}

#[derive(Serialize, Deserialize)]
struct Wire {
    v: u32,
    tasks: Vec<Task>,
}

impl Message {
    /// The bytes for the broker.
    pub fn to_bytes(&self) -> Vec<u8> {
        let wire = Wire { v: VERSION, tasks: self.tasks.clone() };
        serde_json::to_vec(&wire).unwrap_or_default()
    }

    /// Reads the tasks of [`Message::to_bytes`]; absent for anything else.
    pub fn read(bytes: &[u8]) -> Option<Vec<Task>> {
        let wire: Wire = serde_json::from_slice(bytes).ok()?;
        (wire.v == VERSION).then_some(wire.tasks)
    }

    /// Packs tasks, given with their partitions, into as few messages as the limits allow;
    /// the order within a partition stays.
    pub fn pack(tasks: impl IntoIterator<Item = (u16, Task)>) -> Vec<Self> {
        let mut open: Vec<(usize, Self)> = Vec::new();
        let mut full = Vec::new();
        for (partition, task) in tasks {
            let bytes = 4 + digits(task.0.0) + digits(task.1.0);
            let slot = open.iter().position(|(_, message)| message.partition == partition);
            let Some(slot) = slot else {
                open.push((bytes, Self { partition, tasks: vec![task] }));
                continue;
            };
            let (size, message) = &mut open[slot];
            if message.tasks.len() < MAX_TASKS && *size + bytes < MAX_BYTES {
                *size += bytes;
                message.tasks.push(task);
            } else {
                *size = bytes;
                full.push(std::mem::replace(message, Self { partition, tasks: vec![task] }));
            }
        }
        full.extend(open.into_iter().map(|(_, message)| message));
        full
    }
}

fn digits(number: i64) -> usize {
    number.unsigned_abs().checked_ilog10().map_or(1, |log| log as usize + 1)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn packed_tasks_keep_their_order_and_stay_below_a_kibibyte() {
        let task = |n: i64| Task(PackageNo(1 << 60 | n), AttemptId(1 << 61 | n));
        let tasks: Vec<_> = (0..500).map(|n| (u16::from(n % 3 == 0), task(n))).collect();
        let messages = Message::pack(tasks.clone());
        for partition in [0, 1] {
            let sent = tasks.iter().filter(|(p, _)| *p == partition).map(|(_, task)| *task);
            let got = messages.iter().filter(|m| m.partition == partition);
            let got = got.flat_map(|m| Message::read(&m.to_bytes()).unwrap());
            assert!(sent.eq(got));
        }
        assert!(messages.iter().all(|m| m.to_bytes().len() < 1024 && m.tasks.len() <= 50));
        assert_eq!(Message::read(br#"{"v":2,"tasks":[]}"#), None);
    }
}
