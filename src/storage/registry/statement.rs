//! SQL texts of a record kind, made once from its spec.

use std::fmt::Write as _;
use std::sync::OnceLock;

use crate::model::kind::Kind;
use crate::model::spec::KindSpec;
use crate::storage::db::Tx;
use crate::storage::registry::probe;

/// Condition that an owned row is what the supplier calls so.
pub(super) const OWNED: &str = "t.supplier_id=i.supplier_id AND t.external_id=i.external_id";

/// Condition that a registration is what the supplier calls so.
pub(super) const REGISTERED: &str =
    "r.supplier_id=i.supplier_id AND r.kind=i.kind AND r.external_id=i.external_id";

/// The statements of one kind.
#[derive(Debug)]
pub(super) struct Statements {
    /// Rows by `supplier_id` and `external_id` of the input.
    pub(super) by_external_id: String,
    /// Rows by `supplier_id`, `kind` and `external_id` of the input, through `registration`.
    pub(super) by_registration: String,
    /// Rows by `id` of the input.
    pub(super) by_id: String,
    /// Inserts rows.
    pub(super) insert: String,
    /// Updates rows whose `version` is still the one read.
    pub(super) update: String,
}

/// The statements of a kind for the database of a transaction.
pub(super) fn of(tx: &Tx, spec: &'static KindSpec) -> &'static Statements {
    static ALL: [OnceLock<Statements>; 2 * Kind::ALL.len()] =
        [const { OnceLock::new() }; 2 * Kind::ALL.len()];
    let postgres = tx.is_postgres();
    let place = spec.kind.index() * 2 + usize::from(postgres);
    ALL[place].get_or_init(|| build(spec, postgres))
}

fn build(spec: &KindSpec, postgres: bool) -> Statements {
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
            "WITH {{input}} SELECT i.external_id,{select} FROM input i {}",
            probe(postgres, table, "t", OWNED)
        ),
        by_registration: format!(
            "WITH {{input}} SELECT i.external_id,{select} FROM input i {} {}",
            probe(postgres, "registration", "r", REGISTERED),
            probe(postgres, table, "t", "t.id=r.entity_id")
        ),
        by_id: format!(
            "WITH {{input}} SELECT '',{select} FROM input i {}",
            probe(postgres, table, "t", "t.id=i.id")
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
