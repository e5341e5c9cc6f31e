//! Reading what is wanted page by page.

use chrono::{DateTime, Utc};

use crate::codec::federal::question::{CURSOR, NAME, inn, oktmo};
use crate::codec::node::{Node, Sequence};
use crate::model::federal::{KINDS, NAMESPACE, OrganisationQuery, PAGE_LIMIT, Since};
use crate::model::kind::Kind;

pub(super) fn since(children: &mut Sequence<'_, '_>) -> Option<Since> {
    let cursor = children.optional(NAMESPACE, "Cursor");
    let kinds = children.optional(NAMESPACE, "Kinds");
    let page_size = children.optional(NAMESPACE, "PageSize");
    let cursor = self::cursor(children, cursor);
    let kinds = match kinds {
        Some(node) if !node.text.trim().is_empty() => wanted_kinds(children, node)?,
        Some(_) | None => KINDS.to_vec(),
    };
    Some(Since { cursor, kinds, page_size: self::page_size(children, page_size)? })
}

pub(super) fn organisations(children: &mut Sequence<'_, '_>) -> Option<OrganisationQuery> {
    let since = children.optional(NAMESPACE, "ChangedSince");
    let inn_node = children.optional(NAMESPACE, "Inn");
    let territory = children.optional(NAMESPACE, "Oktmo");
    let cursor = children.optional(NAMESPACE, "Cursor");
    let page_size = children.optional(NAMESPACE, "PageSize");
    let changed_since = match since {
        Some(node) => Some(instant(children, node)?),
        None => None,
    };
    let inn = match inn_node {
        Some(node) => Some(inn(children, node)?),
        None => None,
    };
    let oktmo = match territory {
        Some(node) => Some(oktmo(children, node)?),
        None => None,
    };
    let cursor = self::cursor(children, cursor);
    let page_size = self::page_size(children, page_size)?;
    Some(OrganisationQuery { changed_since, inn, oktmo, cursor, page_size })
}

fn cursor(children: &mut Sequence<'_, '_>, node: Option<&Node>) -> Option<String> {
    let cursor = node.and_then(|node| children.text(node, CURSOR));
    cursor.filter(|cursor| !cursor.is_empty()).map(str::to_owned)
}

fn page_size(children: &mut Sequence<'_, '_>, node: Option<&Node>) -> Option<usize> {
    let Some(node) = node else { return Some(PAGE_LIMIT) };
    let size: Option<usize> = children.filled(node, NAME)?.parse().ok();
    let size = size.filter(|&size| (1..=PAGE_LIMIT).contains(&size));
    if size.is_none() {
        children.flaw(node.place, format!("PageSize — целое число от 1 до {PAGE_LIMIT}"));
    }
    size
}

fn instant(children: &mut Sequence<'_, '_>, node: &Node) -> Option<DateTime<Utc>> {
    let written = children.filled(node, NAME)?;
    let at = DateTime::parse_from_rfc3339(written).ok();
    if at.is_none() {
        let text = format!("{} — момент с часовым поясом: 2026-09-01T00:00:00+03:00", node.local);
        children.flaw(node.place, text);
    }
    at.map(|at| at.to_utc())
}

fn wanted_kinds(children: &mut Sequence<'_, '_>, node: &Node) -> Option<Vec<Kind>> {
    let words = children.filled(node, 1_000)?;
    let mut wanted = [false; KINDS.len()];
    for word in words.split_ascii_whitespace() {
        let Some(at) = KINDS.iter().position(|kind| kind.element() == word) else {
            children.flaw(node.place, format!("Неизвестный вид записей в Kinds: {word}"));
            return None;
        };
        wanted[at] = true;
    }
    Some(
        KINDS.into_iter().zip(wanted).filter_map(|(kind, wanted)| wanted.then_some(kind)).collect(),
    )
}
