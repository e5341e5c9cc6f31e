//! Writing where a person has learnt.

use crate::codec::federal::answer::{title, write_entity, write_no_data, write_value};
use crate::codec::xml::Writer;
use crate::model::federal::{Entity, Step, Trajectory};
use crate::model::record::Value;
use crate::model::spec::FieldType;

pub(super) fn write(out: &mut Writer, trajectory: &Trajectory) {
    out.start("Trajectory");
    write_entity(out, &trajectory.person);
    for step in &trajectory.steps {
        write_step(out, step);
    }
    out.start("EducationDocuments");
    write_no_data(out, "нет данных: документы об образовании в реестре не ведутся");
    out.end().end();
}

fn write_step(out: &mut Writer, step: &Step) {
    let membership = &step.membership;
    out.start("Step").attribute("RegionalID", &membership.id.to_string());
    if membership.closed {
        out.attribute("Closed", "true");
    }
    if let Some(id) = membership.reference("organisation_id") {
        out.start("Organisation").attribute("RegionalID", &id.to_string());
        if let Some(organisation) = &step.organisation {
            write_fields(out, organisation, &["FullName", "Inn", "Kpp", "Ogrn", "Type"]);
        }
        out.end();
    }
    if let Some(id) = membership.reference("class_group_id") {
        out.start("ClassGroup").attribute("RegionalID", &id.to_string());
        if let Some(class_group) = &step.class_group {
            write_fields(out, class_group, &["Name", "Parallel"]);
        }
        out.end();
    }
    let rest = [
        "SchoolYear",
        "FromDate",
        "ToDate",
        "Form",
        "Programme",
        "Course",
        "Financing",
        "ReasonIn",
        "ReasonOut",
        "Destination",
    ];
    write_fields(out, membership, &rest);
    out.end();
}

/// Writes some fields in this order; codes with their titles.
fn write_fields(out: &mut Writer, entity: &Entity, elements: &[&str]) {
    for element in elements {
        let Some(at) = entity.spec.position(element) else { continue };
        let Some(value) = entity.values.get(at).and_then(Option::as_ref) else { continue };
        out.start(element);
        if let (FieldType::Code(dictionary), Value::Text(code)) = (entity.spec.fields[at].ty, value)
            && let Some(title) = title(dictionary, code)
        {
            out.attribute("Title", title);
        }
        write_value(out, value);
        out.end();
    }
}
