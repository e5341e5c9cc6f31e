//! Leaving out counts by which somebody might be recognised.
//!
//! A cell of fewer than [`LEAST_PERSONS`] persons is left out. Where the total would still give it
//! away by subtraction, the smallest of the other cells is left out as well. Totals and counts of
//! organisations stay.

use crate::model::federal::statistics::{Cell, Count, LEAST_PERSONS};

/// Leaves out the counts of cells by which somebody might be recognised.
pub fn suppress(cells: &mut [Cell]) {
    let mut left_out = Vec::new();
    for cell in cells.iter_mut() {
        if let Some(persons) = persons(cell)
            && persons < LEAST_PERSONS
        {
            left_out.push(persons);
            cell.count = None;
        }
    }
    if !gives_away(&left_out) {
        return;
    }
    let others = cells.iter_mut().filter_map(|cell| persons(cell).map(|number| (number, cell)));
    if let Some((_, smallest)) = others.min_by_key(|(number, _)| *number) {
        smallest.count = None;
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

fn persons(cell: &Cell) -> Option<i64> {
    match cell.count {
        Some(Count::Learning { persons, .. }) => Some(persons),
        Some(Count::Organisations(_)) | None => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn shown(counts: &[i64]) -> Vec<Option<i64>> {
        let cell = |&persons| Cell {
            at: Vec::new(),
            count: Some(Count::Learning { persons, memberships: persons }),
        };
        let mut cells: Vec<Cell> = counts.iter().map(cell).collect();
        suppress(&mut cells);
        cells.iter().map(persons).collect()
    }

    #[test]
    fn no_cell_tells_of_fewer_than_three_not_even_by_subtraction() {
        assert_eq!(shown(&[3, 4, 5]), [Some(3), Some(4), Some(5)]);
        assert_eq!(shown(&[2, 9, 5]), [None, Some(9), None], "one alone follows from the total");
        assert_eq!(shown(&[1, 2, 5]), [None, None, Some(5)]);
        assert_eq!(
            shown(&[1, 1, 5, 6]),
            [None, None, None, Some(6)],
            "two of them can only be ones"
        );
        assert_eq!(shown(&[2, 2]), [None, None]);
        assert_eq!(shown(&[]), []);
    }

    #[test]
    fn organisations_are_nobody() {
        let mut cells = vec![Cell { at: Vec::new(), count: Some(Count::Organisations(1)) }];
        suppress(&mut cells);
        assert_eq!(cells[0].count, Some(Count::Organisations(1)));
    }
}
