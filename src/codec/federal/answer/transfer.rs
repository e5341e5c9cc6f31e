//! Writing what became of transfers, and of ids given to persons.

use crate::codec::federal::answer::{write_denial, write_redirects};
use crate::codec::xml::Writer;
use crate::model::federal::transfer::{Transfer, TransferCase};
use crate::model::federal::{Assigned, Fate};

pub(super) fn write(out: &mut Writer, transfer: &Transfer) {
    write_redirects(out, &transfer.redirects);
    if let Some(case) = &transfer.case {
        write_case(out, case, transfer);
    }
    if let Some(denial) = transfer.denial {
        write_denial(out, denial);
    }
}

fn write_case(out: &mut Writer, case: &TransferCase, transfer: &Transfer) {
    out.start("TransferCase").attribute("CaseID", &case.id.to_string());
    out.attribute("State", case.state.as_str());
    if transfer.repeated {
        out.attribute("Repeated", "true");
    }
    out.element("Person", &case.person.to_string());
    out.element("Direction", case.direction.as_str());
    out.element("Region", &case.region);
    out.element("Date", &case.date.to_string());
    out.element("Organisation", &case.organisation);
    out.element("Reason", &case.reason);
    if let Some(decided_on) = case.decided_on {
        out.element("DecidedOn", &decided_on.to_string());
    }
    for membership in &transfer.closed {
        out.element("ClosedMembership", &membership.to_string());
    }
    out.end();
}

pub(super) fn write_assigned(out: &mut Writer, results: &[Assigned]) {
    for result in results {
        out.start("Result").attribute("RegionalID", &result.regional.to_string());
        out.attribute("FederalID", &result.federal);
        let outcome = match &result.fate {
            Fate::Assigned => "ASSIGNED",
            Fate::Already => "ALREADY_ASSIGNED",
            Fate::Redirected(_) => "REDIRECTED",
            Fate::HeldByOther(_) | Fate::HasOther(_) => "CONFLICT",
            Fate::UnknownPerson => "UNKNOWN_PERSON",
        };
        out.attribute("Outcome", outcome);
        match &result.fate {
            Fate::Redirected(to) => out.attribute("MergedInto", &to.to_string()),
            Fate::HeldByOther(person) => out.attribute("HeldBy", &person.to_string()),
            Fate::HasOther(federal) => out.attribute("HasFederalID", federal),
            Fate::Assigned | Fate::Already | Fate::UnknownPerson => out,
        };
        out.end();
    }
}
