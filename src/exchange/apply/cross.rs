//! Rules between records: scope of the supplier, ages of relatives and learners.

use chrono::NaiveDate;

use crate::exchange::apply::Applier;
use crate::exchange::apply::work::Work;
use crate::model::finding::Code;
use crate::model::kind::Kind;
use crate::model::record::Value;
use crate::normalise::{kinship, membership};

impl Applier {
    /// Judges records by what they refer to.
    pub(super) fn cross_check(&self, work: &mut Work) {
        for at in work.live() {
            if let Some(field) = self.forbidden(work, at) {
                let field = (field != work.spec.kind.element()).then_some(field);
                work.refuse(at, Code::ScopeForbidden, field, None);
                continue;
            }
            match work.spec.kind {
                Kind::Kinship => check_kinship(work, at),
                Kind::Membership => check_membership(work, at),
                _ => {}
            }
        }
    }

    /// The field that leads to an organisation not entrusted to the supplier, or the name of the
    /// record element when it is the record itself.
    fn forbidden(&self, work: &Work, at: usize) -> Option<&'static str> {
        let entrusted = self.entrusted.as_ref()?;
        let item = &work.items[at];
        match work.spec.kind {
            Kind::ManagementBody => return Some(work.spec.kind.element()),
            Kind::Organisation => {
                let own = work.row(at).is_some_and(|row| entrusted.contains(&row.id));
                return if own { None } else { Some(work.spec.kind.element()) };
            }
            _ => {}
        }
        for (place, known) in &item.known {
            let organisation = match work.spec.fields[*place].column {
                "organisation_id" => Some(known.id),
                _ => known.organisation,
            };
            if organisation.is_some_and(|id| !entrusted.contains(&id)) {
                return Some(work.spec.fields[*place].element);
            }
        }
        None
    }
}

fn born(work: &Work, at: usize, column: &str) -> Option<NaiveDate> {
    let place = work.spec.column(column)?;
    work.items[at].known.iter().find(|(field, _)| *field == place)?.1.born
}

fn check_kinship(work: &mut Work, at: usize) {
    let place = work.spec.column("representative");
    let representative = match place.and_then(|place| work.items[at].value(place)) {
        Some(Value::Text(code)) => code.as_str(),
        _ => "",
    };
    if let (Some(child), Some(adult)) = (born(work, at, "child_id"), born(work, at, "adult_id"))
        && !kinship::ages_fit(representative, child, adult)
    {
        work.refuse(at, Code::KinshipAge, Some("Adult"), None);
    }
}

fn check_membership(work: &mut Work, at: usize) {
    let class = work.spec.column("class_group_id");
    let year = work.spec.column("school_year").and_then(|place| work.items[at].value(place));
    let item = &work.items[at];
    let class = item.known.iter().find(|(field, _)| Some(*field) == class);
    let parallel = class.and_then(|(_, known)| known.parallel);
    if let (Some(parallel), Some(born), Some(Value::Text(year))) =
        (parallel, born(work, at, "person_id"), year)
        && !membership::age_fits(born, parallel, year)
    {
        work.items[at].draft.find(Code::AgeClass, Some("ClassGroup"), None);
    }
}
