//! Reading what is to be counted.

use crate::codec::federal::question::{NAME, date, given_id, oktmo};
use crate::codec::node::{Node, Sequence};
use crate::model::federal::statistics::{Breakdown, Indicator, StatisticsQuery};
use crate::model::federal::{Fetch, NAMESPACE, QueueQuery, RESULT_PAGE_LIMIT};

/// What is to be counted; only what is `built` may tell of persons one by one.
pub(super) fn query(children: &mut Sequence<'_, '_>, built: bool) -> Option<StatisticsQuery> {
    let indicator = children.required(NAMESPACE, "Indicator");
    let from = children.optional(NAMESPACE, "From");
    let day = children.required(NAMESPACE, "Date");
    let territory = children.optional(NAMESPACE, "Oktmo");
    let by = children.optional(NAMESPACE, "Breakdown");
    let indicator_read = indicator.and_then(|node| {
        let known = Indicator::ALL.map(|indicator| (indicator.code(), indicator));
        one_of(children, node, &known)
    });
    let from_read = match from.map(|node| date(children, node)) {
        Some(None) => return None,
        read => read.flatten(),
    };
    let date = day.and_then(|node| date(children, node));
    let territory = match territory.map(|node| oktmo(children, node)) {
        Some(None) => return None,
        read => read.flatten(),
    };
    let breakdown = match by {
        Some(node) => {
            let known = Breakdown::ALL.map(|breakdown| (breakdown.code(), breakdown));
            one_of(children, node, &known)?
        }
        None => Breakdown::Nothing,
    };
    let query = StatisticsQuery {
        indicator: indicator_read?,
        from: from_read,
        date: date?,
        territory,
        breakdown,
    };
    if query.indicator.has_period() == from.is_none() {
        let place = from.or(indicator)?.place;
        children.flaw(place, "From нужен для ENROLMENTS и WITHDRAWALS и только для них");
    }
    if query.from.is_some_and(|from| from > query.date) {
        children.flaw(from?.place, "From позже Date");
    }
    judge_breakdown(children, by, &query, built);
    Some(query)
}

fn judge_breakdown(
    children: &mut Sequence<'_, '_>,
    by: Option<&Node>,
    query: &StatisticsQuery,
    built: bool,
) {
    let allowed = query.indicator.breakdowns().iter();
    let allowed: Vec<&str> = allowed
        .filter(|&&breakdown| built || breakdown != Breakdown::Persons)
        .map(|breakdown| breakdown.code())
        .collect();
    if let Some(node) = by
        && !allowed.contains(&query.breakdown.code())
    {
        let (code, allowed) = (query.indicator.code(), allowed.join(", "));
        children.flaw(node.place, format!("Breakdown для {code} здесь — {allowed}"));
    }
}

pub(super) fn fetch(children: &mut Sequence<'_, '_>) -> Option<Fetch> {
    let job = children.required(NAMESPACE, "JobID");
    let page = children.optional(NAMESPACE, "Page");
    let job = job.and_then(|node| given_id(children, node));
    let page = match page {
        Some(node) => {
            let page: Option<i64> = children.filled(node, NAME)?.parse().ok();
            let page = page.filter(|page| (1..=RESULT_PAGE_LIMIT).contains(page));
            if page.is_none() {
                let text = format!("Page — целое число от 1 до {RESULT_PAGE_LIMIT}");
                children.flaw(node.place, text);
            }
            page?
        }
        None => 1,
    };
    Some(Fetch { job: job?, page })
}

pub(super) fn queue(children: &mut Sequence<'_, '_>) -> Option<QueueQuery> {
    let day = children.required(NAMESPACE, "Date");
    let territory = children.optional(NAMESPACE, "Oktmo");
    let date = day.and_then(|node| date(children, node));
    let oktmo = match territory.map(|node| oktmo(children, node)) {
        Some(None) => return None,
        read => read.flatten(),
    };
    Some(QueueQuery { date: date?, oktmo })
}

fn one_of<T: Copy>(children: &mut Sequence<'_, '_>, node: &Node, known: &[(&str, T)]) -> Option<T> {
    let written = children.filled(node, NAME)?;
    let found = known.iter().find(|(code, _)| *code == written);
    if found.is_none() {
        let codes: Vec<&str> = known.iter().map(|(code, _)| *code).collect();
        children.flaw(node.place, format!("{} — одно из {}", node.local, codes.join(", ")));
    }
    found.map(|(_, value)| *value)
}
