//! Records of employees, and of what a school journal holds.

use chrono::{NaiveDate, NaiveTime};

use crate::model::kind::Kind;
use crate::ops::simulate::names;
use crate::ops::simulate::people::Who;
use crate::ops::simulate::record::Record;
use crate::ops::simulate::region::{Institution, Region};
use crate::ops::simulate::supplier::Supplier;

/// First parallel that gets marks.
const MARKED_LEVEL: u64 = 2;

/// Subjects that get a mark for the term.
const FINAL_SUBJECTS: u64 = 6;

impl Region {
    /// The work of an employee; the first of an organisation is its head.
    pub fn employment_record(&self, supplier: Supplier, place: Institution, index: u64) -> Record {
        let who = Who::Employee(index);
        let at = index - self.staff_of(place).start;
        let position = match at {
            0 => "Директор",
            1 => "Заместитель директора",
            2 => "Секретарь",
            _ => "Учитель",
        };
        let class = at
            .checked_sub(3)
            .and_then(|at| self.classes_of(place).nth(usize::try_from(at).unwrap_or(usize::MAX)));
        let since = self.draw("since", index, 2005..2025);
        Record::new(Kind::Employment, format!("{}-e", supplier.person_id(who)))
            .set("Person", supplier.person_id(who))
            .set("Organisation", supplier.organisation_id(place))
            .set("Position", position)
            .set("Rate", "1.0")
            .set("MainJob", "true")
            .set("FromDate", format!("{since}-09-01"))
            .set("Status", "1")
            .set_some("Subjects", (at > 2).then(|| names::subject(at)))
            .set_some("HomeroomClass", class.map(|class| supplier.class_id(class)))
    }

    /// The marks of a learner on a day: one or two, and a correction of yesterday's first, unless
    /// the same package holds yesterday too.
    pub fn marks(
        &self,
        supplier: Supplier,
        learner: u64,
        day: u32,
        first_day: u32,
    ) -> impl Iterator<Item = Record> + use<> {
        let marked = self.class_of(learner).level >= MARKED_LEVEL;
        let index = learner * 400 + u64::from(day);
        let second = marked && self.chance("second mark", index, 300);
        let corrected = day > 0 && day == first_day && self.chance("correction", index, 100);
        let (today, before) = (self.lesson_day(day), self.lesson_day(day.saturating_sub(1)));
        let region = *self;
        [
            (marked, index, 0, today),
            (second, index, 1, today),
            (marked && corrected, index.wrapping_sub(1), 0, before),
        ]
        .into_iter()
        .filter(|(given, ..)| *given)
        .map(move |(_, index, lesson, date)| {
            let set_on = today.and_time(NaiveTime::MIN);
            let value = region.draw("mark", index * 2 + lesson, 2..6);
            let value = if date == today { value } else { (value + 1).min(5) };
            region
                .mark(supplier, learner, index * 2 + lesson, date)
                .set("SetAt", format!("{}Z", set_on.format("%Y-%m-%dT12:30:00")))
                .set("WorkType", "Ответ на уроке")
                .set("Value", value.to_string())
                .set("System", "1")
        })
    }

    fn mark(&self, supplier: Supplier, learner: u64, index: u64, date: NaiveDate) -> Record {
        let who = Who::Learner(learner);
        let class = self.class_of(learner);
        Record::new(Kind::Mark, format!("{}M{index}", supplier.prefix()))
            .set("Person", supplier.person_id(who))
            .set("Organisation", supplier.organisation_id(class.institution))
            .set("ClassGroup", supplier.class_id(class))
            .set("Subject", names::subject(self.hash("subject", index)))
            .set("LessonDate", date.to_string())
    }

    /// A lesson that a learner missed on a day.
    pub fn absence(&self, supplier: Supplier, learner: u64, day: u32) -> Option<Record> {
        let index = learner * 400 + u64::from(day);
        let class = self.class_of(learner);
        self.chance("absence", index, 80).then(|| {
            Record::new(Kind::Absence, format!("{}V{index}", supplier.prefix()))
                .set("Person", supplier.person_id(Who::Learner(learner)))
                .set("Organisation", supplier.organisation_id(class.institution))
                .set("ClassGroup", supplier.class_id(class))
                .set("Date", self.lesson_day(day).to_string())
                .set("Lesson", self.draw("lesson", index, 1..7).to_string())
                .set("Kind", self.draw("absence kind", index, 1..5).to_string())
        })
    }

    /// The marks of a learner for the first term.
    pub fn final_marks(
        &self,
        supplier: Supplier,
        learner: u64,
    ) -> impl Iterator<Item = Record> + use<> {
        let region = *self;
        let class = self.class_of(learner);
        let subjects = if class.level >= MARKED_LEVEL { FINAL_SUBJECTS } else { 0 };
        (0..subjects).map(move |subject| {
            let index = learner * FINAL_SUBJECTS + subject;
            Record::new(Kind::FinalMark, format!("{}F{index}", supplier.prefix()))
                .set("Person", supplier.person_id(Who::Learner(learner)))
                .set("Organisation", supplier.organisation_id(class.institution))
                .set("ClassGroup", supplier.class_id(class))
                .set("Subject", names::subject(subject))
                .set("SchoolYear", region.school_year())
                .set("Period", "1")
                .set("Value", region.draw("final", index, 3..6).to_string())
                .set("System", "1")
        })
    }
}
