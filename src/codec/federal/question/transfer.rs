//! Reading word of transfers, and ids given to persons.

use crate::codec::federal::question::person::{person_key, regional_id};
use crate::codec::federal::question::{NAME, TEXT, date, digits, given_id};
use crate::codec::node::{Node, Sequence};
use crate::model::federal::transfer::{Decision, Direction, Notice};
use crate::model::federal::{NAMESPACE, PAIR_LIMIT, Pair};

pub(super) fn notice(children: &mut Sequence<'_, '_>) -> Option<Notice> {
    let person = person_key(children);
    let direction = children.required(NAMESPACE, "Direction");
    let region = children.required(NAMESPACE, "Region");
    let moved = children.required(NAMESPACE, "Date");
    let organisation = children.required(NAMESPACE, "Organisation");
    let reason = children.required(NAMESPACE, "Reason");
    let direction = direction.and_then(|node| {
        let written = children.filled(node, NAME)?;
        let found = Direction::ALL.into_iter().find(|direction| direction.as_str() == written);
        if found.is_none() {
            children.flaw(node.place, "Direction — LEAVING или ARRIVED");
        }
        found
    });
    let region = region.and_then(|node| digits(children, node, &[2]));
    let date = moved.and_then(|node| date(children, node));
    let organisation = organisation.and_then(|node| children.filled(node, TEXT));
    let reason = reason.and_then(|node| children.filled(node, TEXT));
    Some(Notice {
        person: person?,
        direction: direction?,
        region: region?,
        date: date?,
        organisation: organisation?.to_owned(),
        reason: reason?.to_owned(),
    })
}

pub(super) fn decision(children: &mut Sequence<'_, '_>) -> Option<Decision> {
    let case = children.required(NAMESPACE, "CaseID");
    let decision = children.required(NAMESPACE, "Decision");
    let decided = children.required(NAMESPACE, "Date");
    let case = case.and_then(|node| given_id(children, node));
    let confirmed = decision.and_then(|node| {
        let confirmed = match children.filled(node, NAME)? {
            "CONFIRMED" => Some(true),
            "DECLINED" => Some(false),
            _ => None,
        };
        if confirmed.is_none() {
            children.flaw(node.place, "Decision — CONFIRMED или DECLINED");
        }
        confirmed
    });
    let date = decided.and_then(|node| date(children, node));
    Some(Decision { case: case?, confirmed: confirmed?, date: date? })
}

pub(super) fn pairs(children: &mut Sequence<'_, '_>) -> Option<Vec<Pair>> {
    let first = children.required(NAMESPACE, "Pair")?;
    let place = first.place;
    let mut read = vec![pair(children, first)];
    while let Some(node) = children.optional(NAMESPACE, "Pair") {
        if read.len() == PAIR_LIMIT {
            children.flaw(place, format!("Пар больше {PAIR_LIMIT}"));
            return None;
        }
        read.push(pair(children, node));
    }
    read.into_iter().collect()
}

fn pair(above: &mut Sequence<'_, '_>, node: &Node) -> Option<Pair> {
    let mut children = above.inside(node);
    let regional = children.required(NAMESPACE, "RegionalID");
    let federal = children.required(NAMESPACE, "FederalID");
    let regional = regional.and_then(|node| regional_id(&mut children, node));
    let federal = federal.and_then(|node| children.filled(node, NAME));
    let pair = match (regional, federal) {
        (Some(regional), Some(federal)) => Some(Pair { regional, federal: federal.to_owned() }),
        _ => None,
    };
    children.finish();
    pair
}
