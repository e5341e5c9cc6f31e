//! How much a person of the registry is like one who is looked for, when the birth date agrees.

use crate::model::federal::Likeness;
use crate::normalise::text::fold_name;

/// Likeness from which a person is worth telling.
pub const THRESHOLD: i64 = 75;

/// Likeness of one who has the document that was named.
const SAME_DOCUMENT: i64 = 95;

/// Names are compared letter by letter up to this length.
const LETTERS: usize = 64;

/// Weights of surname, given name and patronymic; together 100.
const WEIGHTS: [f64; 3] = [45.0, 35.0, 20.0];

/// A person looked for, names folded once.
#[derive(Clone, Debug)]
pub struct Wanted {
    last: Vec<char>,
    first: Vec<char>,
    middle: Vec<char>,
}

impl Wanted {
    /// Folds the names.
    pub fn new(likeness: &Likeness) -> Self {
        Self {
            last: letters(&likeness.last_name),
            first: letters(&likeness.first_name),
            middle: letters(likeness.middle_name.as_deref().unwrap_or_default()),
        }
    }

    /// Likeness of a person of the same birth date, 0 to 100. A patronymic missing on one side
    /// counts half; `document` says that the person has the document that was named.
    pub fn score(&self, last: &str, first: &str, middle: &str, document: bool) -> i64 {
        let middle = letters(middle);
        let patronymic = match (self.middle.is_empty(), middle.is_empty()) {
            (true, true) => 1.0,
            (false, false) => alike(&self.middle, &middle),
            _ => 0.5,
        };
        let parts =
            [alike(&self.last, &letters(last)), alike(&self.first, &letters(first)), patronymic];
        let score: f64 = parts.iter().zip(WEIGHTS).map(|(part, weight)| part * weight).sum();
        #[expect(clippy::cast_possible_truncation, reason = "between 0 and 100")]
        let score = score.round() as i64;
        if document { score.max(SAME_DOCUMENT) } else { score }
    }
}

fn letters(name: &str) -> Vec<char> {
    fold_name(name).chars().take(LETTERS).collect()
}

/// Share of letters that agree; 0 when more than three in ten differ.
fn alike(one: &[char], other: &[char]) -> f64 {
    let longest = one.len().max(other.len());
    if longest == 0 {
        return 1.0;
    }
    #[expect(clippy::cast_precision_loss, reason = "at most 64")]
    let share = 1.0 - distance(one, other) as f64 / longest as f64;
    if share < 0.7 { 0.0 } else { share }
}

/// Letters to put in, leave out or replace to make one of the other.
fn distance(one: &[char], other: &[char]) -> usize {
    let mut row: Vec<usize> = (0..=other.len()).collect();
    for (i, a) in one.iter().enumerate() {
        let mut diagonal = row[0];
        row[0] = i + 1;
        for (j, b) in other.iter().enumerate() {
            let replaced = diagonal + usize::from(a != b);
            diagonal = row[j + 1];
            row[j + 1] = replaced.min(row[j] + 1).min(diagonal + 1);
        }
    }
    row[other.len()]
}

#[cfg(test)]
mod tests {
    use super::*;
    use chrono::NaiveDate;

    #[test]
    fn a_typing_error_is_a_candidate_and_a_namesake_of_another_family_is_not() {
        let wanted = Wanted::new(&Likeness {
            last_name: "Семёнова".to_owned(),
            first_name: "Анна".to_owned(),
            middle_name: Some("Петровна".to_owned()),
            birth_date: NaiveDate::from_ymd_opt(2015, 3, 1).unwrap(),
            document: None,
        });
        assert_eq!(wanted.score("СЕМЕНОВА", "Анна", "Петровна", false), 100);
        assert_eq!(wanted.score("Семенова", "Анна", "", false), 90);
        let typed = wanted.score("Семенцова", "Анна", "Петровна", false);
        assert!((THRESHOLD..100).contains(&typed), "{typed}");
        assert!(wanted.score("Иванова", "Анна", "Петровна", false) < THRESHOLD);
        assert!(wanted.score("Семенова", "Пётр", "Петрович", false) < THRESHOLD);
        assert_eq!(wanted.score("Иванова", "Анна", "Петровна", true), 95);
    }
}
