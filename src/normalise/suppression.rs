//! Leaving out counts by which somebody might be recognised.
//!
//! A cell of fewer than [`LEAST_PERSONS`] persons is left out. Where the total would still give it
//! away by subtraction, the smallest of the other cells is left out as well, and the total itself
//! where there is no other. So is a total of fewer persons. Counts of organisations stay.

use crate::model::federal::statistics::{Count, LEAST_PERSONS, Table};

/// Leaves out the counts by which somebody might be recognised.
pub fn suppress(table: &mut Table) {
    let mut left_out = Vec::new();
    for cell in &mut table.cells {
        if let Some(persons) = persons(cell.count)
            && persons < LEAST_PERSONS
        {
            left_out.push(persons);
            cell.count = None;
        }
    }
    let others = table.cells.iter_mut().filter_map(|cell| persons(cell.count).zip(Some(cell)));
    let smallest = others.min_by_key(|(number, _)| *number);
    match smallest {
        Some((_, smallest)) if gives_away(&left_out) => smallest.count = None,
        None if gives_away(&left_out) => table.total = None,
        _ => {}
    }
    if persons(table.total).is_some_and(|persons| (1..LEAST_PERSONS).contains(&persons)) {
        table.total = None;
    }
}

/// Whether the sum of what was left out, which the total tells, leaves one way to share it out:
/// all are as small or all as large as they can be.
fn gives_away(left_out: &[i64]) -> bool {
    let (Some(least), Some(most)) = (left_out.iter().min(), left_out.iter().max()) else {
        return false;
    };
    left_out.len() == 1 || least == most
}

fn persons(count: Option<Count>) -> Option<i64> {
    match count {
        Some(Count::Learning { persons, .. }) => Some(persons),
        Some(Count::Organisations(_)) | None => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::federal::statistics::Cell;

    fn learning(persons: i64) -> Count {
        Count::Learning { persons, memberships: persons }
    }

    /// The total, and the cells.
    fn shown(counts: &[i64]) -> (Option<i64>, Vec<Option<i64>>) {
        let cell = |&persons| Cell { at: Vec::new(), count: Some(learning(persons)) };
        let cells = counts.iter().map(cell).collect();
        let mut table = Table { total: Some(learning(counts.iter().sum())), cells };
        suppress(&mut table);
        (persons(table.total), table.cells.iter().map(|cell| persons(cell.count)).collect())
    }

    #[test]
    fn no_cell_tells_of_fewer_than_three_not_even_by_subtraction() {
        assert_eq!(shown(&[3, 4, 5]), (Some(12), vec![Some(3), Some(4), Some(5)]));
        let one_alone = (Some(16), vec![None, Some(9), None]);
        assert_eq!(shown(&[2, 9, 5]), one_alone, "it would follow from the total");
        assert_eq!(shown(&[1, 2, 5]), (Some(8), vec![None, None, Some(5)]));
        let only_ones = (Some(13), vec![None, None, None, Some(6)]);
        assert_eq!(shown(&[1, 1, 5, 6]), only_ones, "two of them can only be ones");
        assert_eq!(shown(&[2, 1]), (Some(3), vec![None, None]), "which is which is not told");
        assert_eq!(shown(&[2, 2]), (None, vec![None, None]), "the total tells of both");
        assert_eq!(shown(&[1]), (None, vec![None]));
        assert_eq!(shown(&[]), (Some(0), vec![]));
    }

    #[test]
    fn a_total_without_cells_tells_of_three_or_more_or_nobody() {
        for (persons, expected) in [(0, Some(0)), (1, None), (2, None), (3, Some(3))] {
            let mut table = Table { total: Some(learning(persons)), cells: Vec::new() };
            suppress(&mut table);
            assert_eq!(super::persons(table.total), expected);
        }
    }

    #[test]
    fn organisations_are_nobody() {
        let one = Some(Count::Organisations(1));
        let mut table = Table { total: one, cells: vec![Cell { at: Vec::new(), count: one }] };
        suppress(&mut table);
        assert_eq!((table.total, table.cells[0].count), (one, one));
    }
}
