//! The region's rules, pure: one file a record kind, and identity matching.

pub mod absence;
pub mod address;
pub mod checksum;
pub mod class_group;
pub mod contact;
pub mod draft;
pub mod employment;
pub mod final_mark;
pub mod identity;
pub mod identity_document;
pub mod kinship;
pub mod lexical;
pub mod likeness;
pub mod management_body;
pub mod mark;
pub mod membership;
pub mod organisation;
pub mod person;
pub mod suppression;
pub mod text;

use crate::model::kind::Kind;
use crate::model::record::RawRecord;
use crate::model::spec::KindSpec;
use crate::normalise::draft::{Checked, Draft, Rules};

/// Table and fields of a kind.
pub fn spec(kind: Kind) -> &'static KindSpec {
    match kind {
        Kind::ManagementBody => &management_body::SPEC,
        Kind::Organisation => &organisation::SPEC,
        Kind::ClassGroup => &class_group::SPEC,
        Kind::Person => &person::SPEC,
        Kind::IdentityDocument => &identity_document::SPEC,
        Kind::Address => &address::SPEC,
        Kind::Contact => &contact::SPEC,
        Kind::Kinship => &kinship::SPEC,
        Kind::Membership => &membership::SPEC,
        Kind::Employment => &employment::SPEC,
        Kind::Mark => &mark::SPEC,
        Kind::FinalMark => &final_mark::SPEC,
        Kind::Absence => &absence::SPEC,
    }
}

/// Judges a record alone: lexical rules, then rules between its fields.
pub fn record(raw: &RawRecord, rules: &Rules) -> Draft {
    let spec = spec(raw.kind);
    let mut draft = draft::draft(raw, spec, rules);
    let mut checked = Checked { draft: &mut draft, spec, rules };
    match raw.kind {
        Kind::ManagementBody => management_body::check(&mut checked),
        Kind::Organisation => organisation::check(&mut checked),
        Kind::ClassGroup => class_group::check(&mut checked),
        Kind::Person => person::check(&mut checked),
        Kind::IdentityDocument => identity_document::check(&mut checked),
        Kind::Address => address::check(&mut checked),
        Kind::Contact => contact::check(&mut checked),
        Kind::Kinship => kinship::check(&mut checked),
        Kind::Membership => membership::check(&mut checked),
        Kind::Employment => employment::check(&mut checked),
        Kind::Mark => mark::check(&mut checked),
        Kind::FinalMark => final_mark::check(&mut checked),
        Kind::Absence => absence::check(&mut checked),
    }
    draft
}
