//! Writing counts, and persons without anything to recognise them by.

use uuid::Uuid;

use crate::codec::federal::answer::{instant, title, write_denial};
use crate::codec::xml::Writer;
use crate::model::federal::statistics::{
    Anonymous, Built, BuiltPage, Cell, Coordinate, Count, Dimension, Indicator, StatisticsQuery,
    Table,
};
use crate::model::federal::transfer::Denial;

pub(super) fn write_table(out: &mut Writer, query: &StatisticsQuery, table: &Table) {
    begin(out, "Statistics", query);
    out.start("Total");
    match table.total {
        Some(total) => write_count(out, total),
        None => {
            out.attribute("Suppressed", "true");
        }
    }
    out.end();
    for cell in &table.cells {
        write_cell(out, query.indicator, cell);
    }
    out.end();
}

pub(super) fn write_ordered(out: &mut Writer, ordered: Result<Uuid, Denial>) {
    match ordered {
        Ok(job) => {
            out.element("Status", "PROCESS").element("JobID", &job.to_string());
        }
        Err(denial) => {
            out.element("Status", "REJECT");
            write_denial(out, denial);
        }
    }
}

pub(super) fn write_built(out: &mut Writer, built: &Built) {
    match built {
        Built::Process { job, asked_at } => {
            out.element("Status", "PROCESS").element("JobID", &job.to_string());
            out.element("AskedAt", &instant(*asked_at));
        }
        Built::Result { job, built_at, query, page, pages, content } => {
            out.element("Status", "RESULT").element("JobID", &job.to_string());
            out.element("BuiltAt", &instant(*built_at));
            out.element("Page", &page.to_string()).element("Pages", &pages.to_string());
            match content {
                BuiltPage::Table(table) => write_table(out, query, table),
                BuiltPage::Persons(persons) => write_persons(out, query, persons),
            }
        }
        Built::Denied(denial) => {
            let failed = *denial == Denial::JobFailed;
            out.element("Status", if failed { "FAILURE" } else { "REJECT" });
            write_denial(out, *denial);
        }
    }
}

fn begin(out: &mut Writer, element: &str, query: &StatisticsQuery) {
    out.start(element).attribute("Indicator", query.indicator.code());
    if let Some(from) = query.from {
        out.attribute("From", &from.to_string());
    }
    out.attribute("Date", &query.date.to_string());
    if let Some(territory) = &query.territory {
        out.attribute("Oktmo", territory);
    }
    out.attribute("Breakdown", query.breakdown.code());
}

fn write_cell(out: &mut Writer, indicator: Indicator, cell: &Cell) {
    out.start("Cell");
    if cell.count.is_none() {
        out.attribute("Suppressed", "true");
    }
    for coordinate in &cell.at {
        write_coordinate(out, indicator, coordinate);
    }
    if let Some(count) = cell.count {
        write_count(out, count);
    }
    out.end();
}

fn write_coordinate(out: &mut Writer, indicator: Indicator, coordinate: &Coordinate) {
    out.start("Coordinate").attribute("Dimension", coordinate.dimension.name());
    if let Some(code) = &coordinate.code {
        out.attribute("Code", code);
        let dictionary = match coordinate.dimension {
            Dimension::OrganisationKind => "organisation-type",
            Dimension::Sex => "sex",
            Dimension::Reason if indicator == Indicator::Enrolments => "admission-reason",
            Dimension::Reason => "departure-reason",
            Dimension::Parallel | Dimension::Age => "",
        };
        if let Some(title) = title(dictionary, code) {
            out.attribute("Title", title);
        }
    }
    out.end();
}

fn write_count(out: &mut Writer, count: Count) {
    match count {
        Count::Learning { persons, memberships } => {
            out.element("Persons", &persons.to_string());
            out.element("Memberships", &memberships.to_string());
        }
        Count::Organisations(number) => {
            out.element("Organisations", &number.to_string());
        }
    }
}

fn write_persons(out: &mut Writer, query: &StatisticsQuery, persons: &[Anonymous]) {
    begin(out, "Depersonalised", query);
    for person in persons {
        out.start("Row").attribute("Pseudonym", &person.pseudonym);
        match &person.traits {
            Some(traits) => {
                out.attribute("BirthYear", &traits.birth_year.to_string());
                out.attribute("Sex", &traits.sex);
                out.attribute("OrganisationKinds", &traits.kinds.join(" "));
            }
            None => {
                out.attribute("Suppressed", "true");
            }
        }
        out.end();
    }
    out.end();
}
