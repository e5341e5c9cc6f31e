//! SQL texts of a record kind, made once from its spec.

use std::fmt::Write as _;
use std::sync::OnceLock;

use crate::model::kind::Kind;
use crate::model::spec::KindSpec;

/// The statements of one kind.
#[derive(Debug)]
pub(super) struct Statements {
    /// Rows by supplier ($1) and `external_id` of the input.
    pub(super) by_external_id: String,
    /// Rows by supplier ($1), kind ($2) and `external_id` of the input, through `registration`.
    pub(super) by_registration: String,
    /// Rows by `id` of the input.
    pub(super) by_id: String,
    /// Inserts rows.
    pub(super) insert: String,
    /// Updates rows whose `version` is still the one read.
    pub(super) update: String,
}

/// The statements of a kind.
pub(super) fn of(spec: &'static KindSpec) -> &'static Statements {
    static ALL: [OnceLock<Statements>; Kind::ALL.len()] =
        [const { OnceLock::new() }; Kind::ALL.len()];
    ALL[spec.kind.index()].get_or_init(|| build(spec))
}

fn build(spec: &KindSpec) -> Statements {
    let table = spec.table;
    let fields: Vec<&str> = spec.fields.iter().map(|field| field.column).collect();
    let derived: Vec<&str> = spec.derived.iter().map(|derived| derived.column).collect();
    let read = format!("t.{}", fields.join(",t."));
    let select = format!("t.id,t.version,t.as_of,t.package_no,t.closed_at,{read}");
    let mut written = vec!["id"];
    if !spec.kind.is_matched() {
        written.push("external_id");
    }
    written.extend(&fields);
    written.extend(&derived);
    let written = written.join(",");
    let (owner, owner_value) =
        if spec.kind.is_matched() { ("", "") } else { (",supplier_id", ",$3") };
    let mut set = String::new();
    for column in fields.iter().chain(&derived) {
        write!(set, "{column}=i.{column},").unwrap_or_default();
    }
    Statements {
        by_external_id: format!(
            "WITH {{input}} SELECT i.external_id,{select} FROM input i JOIN {table} t \
             ON t.supplier_id=$1 AND t.external_id=i.external_id"
        ),
        by_registration: format!(
            "WITH {{input}} SELECT i.external_id,{select} FROM input i JOIN registration r \
             ON r.supplier_id=$1 AND r.kind=$2 AND r.external_id=i.external_id \
             JOIN {table} t ON t.id=r.entity_id"
        ),
        by_id: format!(
            "WITH {{input}} SELECT '',{select} FROM input i JOIN {table} t ON t.id=i.id"
        ),
        insert: format!(
            "WITH {{input}} INSERT INTO {table} ({written},as_of,package_no,version{owner}) \
             SELECT {written},$1,$2,1{owner_value} FROM input"
        ),
        update: format!(
            "WITH {{input}} UPDATE {table} AS t SET {set}as_of=i.as_of,\
             package_no=i.package_no,closed_at=i.closed_at,version=t.version+1 \
             FROM input i WHERE t.id=i.id AND t.version=i.version"
        ),
    }
}
