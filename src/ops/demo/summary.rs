//! What the demonstration comes to.

use std::collections::BTreeMap;
use std::time::Duration;

use anyhow::Result;
use serde::Serialize;

use crate::model::finding::{Code, Finding};
use crate::model::ids::AttemptId;
use crate::model::package::{Counts, State};
use crate::ops::demo::Stage;
use crate::ops::output::{plural, say, say_table};
use crate::storage::db::Db;
use crate::storage::journal::{conclude, list};

/// Findings read at a time.
const PAGE: u64 = 1_000;

/// Where things are.
#[derive(Clone, Debug)]
pub struct Addresses {
    /// Pages.
    pub web: String,
    /// Suppliers' SOAP.
    pub intake: String,
    /// The federal segment's SOAP.
    pub smev: String,
    /// Suppliers' REST.
    pub rest: String,
    /// Metrics.
    pub metrics: String,
}

impl Addresses {
    /// Of a stage.
    pub fn of(stage: &Stage) -> Self {
        let web = format!("http://{}/", stage.address);
        Self {
            intake: format!("{web}ws/intake"),
            smev: format!("{web}ws/smev/1.3"),
            rest: format!("{web}api/v1"),
            metrics: format!("http://{}/metrics", stage.health),
            web,
        }
    }
}

/// The JSON object of `--json`.
#[derive(Debug, Serialize)]
pub(super) struct Report<'a> {
    web: &'a str,
    intake: &'a str,
    smev: &'a str,
    rest: &'a str,
    metrics: &'a str,
    /// The web application comes later; nobody can log in yet.
    logins: [(); 0],
    packages: u64,
    records: u64,
    findings: u64,
    replayed: u64,
    federal_answers: u64,
}

/// Figures from the journal.
pub(super) struct Summary {
    addresses: Addresses,
    packages: Vec<(State, u64)>,
    records: Counts,
    findings: BTreeMap<&'static str, (Code, u64)>,
    replayed: u64,
    federal_answers: u64,
}

impl Summary {
    /// Reads the last attempt of every package.
    pub(super) async fn collect(stage: &Stage, federal_answers: u64) -> Result<Self> {
        let db = stage.exchange.db();
        let (mut records, mut findings) = (Counts::default(), BTreeMap::new());
        let mut replayed = 0;
        let mut filter = list::Filter::default();
        loop {
            let page = list::page(db, &filter, 200).await?;
            let Some(last) = page.last() else { break };
            filter.before = Some(last.no);
            for package in &page {
                let attempts = list::attempts(db, package.no).await?;
                let Some(attempt) = attempts.first() else { continue };
                replayed += u64::from(attempts.len() > 1);
                let counts = attempt.counts.as_deref().unwrap_or("{}");
                let counts: BTreeMap<String, Counts> = serde_json::from_str(counts)?;
                for counts in counts.values() {
                    records.add(*counts);
                }
                for finding in findings_of(db, attempt.id).await? {
                    let entry = findings.entry(finding.code.as_str());
                    entry.or_insert((finding.code, 0)).1 += 1;
                }
            }
        }
        Ok(Self {
            addresses: Addresses::of(stage),
            packages: list::totals(db).await?,
            records,
            findings,
            replayed,
            federal_answers,
        })
    }

    /// Whether every package was registered and every record is accounted for.
    pub(super) fn is_good(&self) -> bool {
        let registered = |(state, count): &(State, u64)| *state == State::Registered || *count == 0;
        self.packages.iter().all(registered)
            && self.records.balance()
            && self.replayed > 0
            && self.federal_answers > 0
    }

    /// Prints it for people.
    pub(super) fn print(&self, took: Duration) {
        let Counts { total, created, updated, unchanged, refused, superseded } = self.records;
        say("");
        say(format!("Готово за {:.1} с. Итог:", took.as_secs_f64()));
        for (state, count) in self.packages.iter().filter(|(_, count)| *count > 0) {
            say(format!("  Пакеты: {} — {count}", state.title().to_lowercase()));
        }
        say(format!(
            "  Записи: всего {total}; создано {created}, изменено {updated}, без изменений \
             {unchanged}, отклонено {refused}, устарело или повторено {superseded}"
        ));
        let kinds = ["замечание", "замечания", "замечаний"];
        let all = self.findings.values().map(|(_, count)| count).sum();
        say(format!("  {} к записям — данные намеренно «грязные»:", plural(all, kinds)));
        let rows: Vec<[String; 3]> = self
            .findings
            .values()
            .map(|(code, count)| {
                [count.to_string(), code.as_str().to_owned(), code.text().to_owned()]
            })
            .collect();
        say_table("    ", ["", "Код", "Что это значит"], &rows);
        say(format!(
            "  Повторно обработано пакетов: {}. Ответов федеральному сегменту: {}.",
            self.replayed, self.federal_answers
        ));
    }

    /// Prints where to look while the system stays up.
    pub(super) fn print_addresses(&self) {
        say("");
        say("Куда смотреть дальше:");
        let Addresses { web, intake, smev, rest, metrics } = &self.addresses;
        say(format!("  {web}  страница состояния"));
        say(format!("  {intake}?wsdl  приём пакетов от поставщиков (SOAP)"));
        say(format!("  {rest}/openapi.json  то же через REST"));
        say(format!("  {smev}?wsdl  обмен с федеральным сегментом (СМЭВ 3)"));
        say(format!("  {metrics}  показатели для мониторинга"));
    }

    /// The JSON object.
    pub(super) fn report(&self) -> Report<'_> {
        Report {
            web: &self.addresses.web,
            intake: &self.addresses.intake,
            smev: &self.addresses.smev,
            rest: &self.addresses.rest,
            metrics: &self.addresses.metrics,
            logins: [],
            packages: self.packages.iter().map(|(_, count)| count).sum(),
            records: self.records.total,
            findings: self.findings.values().map(|(_, count)| count).sum(),
            replayed: self.replayed,
            federal_answers: self.federal_answers,
        }
    }
}

/// All findings of an attempt.
async fn findings_of(db: &Db, attempt: AttemptId) -> Result<Vec<Finding>> {
    let mut all = Vec::new();
    loop {
        let page = conclude::findings(db, attempt, all.len() as u64, PAGE).await?;
        let last = (page.len() as u64) < PAGE;
        all.extend(page);
        if last {
            return Ok(all);
        }
    }
}
