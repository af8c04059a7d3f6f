//! Tables: aligned columns for people.
//!
//! Invariant: cells are made printable here; where the width is unknown nothing is cut, so that what is piped is whole.

use super::{
    style::{Colour, Role},
    text::{columns, cut, printable},
};

/// The least a column that gives way keeps.
const LEAST: usize = 8;
/// What stands between columns.
const GAP: &str = "  ";

/// On which side a column is flush.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Align {
    /// Left: words.
    Left,
    /// Right: numbers.
    Right,
    /// Left, and the first to give way on a narrow terminal.
    Elastic,
}

/// One column.
#[derive(Clone, Debug)]
pub struct Column {
    /// Its head.
    pub head: &'static str,
    /// Where its cells stand.
    pub align: Align,
}

/// Rows of cells under heads.
#[derive(Clone, Debug)]
pub struct Table {
    columns: Vec<Column>,
    rows: Vec<Vec<(String, Option<Role>)>>,
}

impl Table {
    /// Starts a table with these heads.
    pub fn new(columns: impl IntoIterator<Item = (&'static str, Align)>) -> Self {
        Self {
            columns: columns
                .into_iter()
                .map(|(head, align)| Column { head, align })
                .collect(),
            rows: Vec::new(),
        }
    }

    /// Adds a row; cells that are missing are empty.
    pub fn row(&mut self, cells: impl IntoIterator<Item = String>) {
        self.painted_row(cells.into_iter().map(|cell| (cell, None)));
    }

    /// Adds a row whose cells may have a role.
    pub fn painted_row(&mut self, cells: impl IntoIterator<Item = (String, Option<Role>)>) {
        let cells = cells
            .into_iter()
            .map(|(cell, role)| (printable(&cell), role));
        self.rows.push(cells.collect());
    }

    /// Returns the lines, heads first.
    pub(super) fn render(&self, width: Option<usize>, colour: Colour) -> Vec<String> {
        let widths = self.widths(width);
        let heads: Vec<_> = self
            .columns
            .iter()
            .map(|column| (column.head.to_owned(), Some(Role::Heading)))
            .collect();
        std::iter::once(&heads)
            .chain(&self.rows)
            .map(|row| self.line(row, &widths, colour))
            .collect()
    }

    fn widths(&self, width: Option<usize>) -> Vec<usize> {
        let mut widths: Vec<usize> = self
            .columns
            .iter()
            .map(|column| columns(column.head))
            .collect();
        for row in &self.rows {
            for (have, (cell, _role)) in widths.iter_mut().zip(row) {
                *have = (*have).max(columns(cell));
            }
        }
        let Some(width) = width else { return widths };
        let gaps = GAP.len() * widths.len().saturating_sub(1);
        let mut excess = (widths.iter().sum::<usize>() + gaps).saturating_sub(width);
        for (column, have) in self.columns.iter().zip(&mut widths).rev() {
            if column.align == Align::Elastic && excess > 0 {
                let given = excess.min(have.saturating_sub(LEAST));
                *have -= given;
                excess -= given;
            }
        }
        widths
    }

    fn line(&self, row: &[(String, Option<Role>)], widths: &[usize], colour: Colour) -> String {
        let mut line = String::new();
        for (index, ((cell, role), (column, width))) in
            row.iter().zip(self.columns.iter().zip(widths)).enumerate()
        {
            if index > 0 {
                line.push_str(GAP);
            }
            let cell = cut(cell, *width);
            let space = " ".repeat(width.saturating_sub(columns(&cell)));
            let painted = role.map_or_else(|| cell.clone(), |role| colour.paint(role, &cell));
            match column.align {
                Align::Right => line.extend([space, painted]),
                Align::Left | Align::Elastic => line.extend([painted, space]),
            }
        }
        line.truncate(line.trim_end().len());
        line
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn table() -> Table {
        let mut table = Table::new([
            ("NAME", Align::Elastic),
            ("SIZE", Align::Right),
            ("MADE", Align::Left),
        ]);
        table.row(["aicage:codex-debian", "31.4 MB", "now"].map(str::to_owned));
        table.row(["x\u{1b}[2J", "9 B", ""].map(str::to_owned));
        table
    }

    #[test]
    fn columns_line_up_and_nothing_is_cut_where_the_width_is_unknown() {
        assert_eq!(
            table().render(None, Colour::Never),
            [
                "NAME                    SIZE  MADE",
                "aicage:codex-debian  31.4 MB  now",
                "x\\u{1b}[2J               9 B",
            ]
        );
    }

    #[test]
    fn a_narrow_terminal_shortens_only_elastic_columns() {
        assert_eq!(
            table().render(Some(24), Colour::Never),
            [
                "NAME          SIZE  MADE",
                "aicage:c…  31.4 MB  now",
                "x\\u{1b}[…      9 B",
            ]
        );
    }

    #[test]
    fn paint_does_not_move_columns() {
        let mut table = Table::new([("A", Align::Left), ("B", Align::Left)]);
        table.painted_row([
            ("good".to_owned(), Some(Role::Good)),
            ("b".to_owned(), None),
        ]);
        assert_eq!(
            table.render(None, Colour::Always)[1],
            "\u{1b}[32mgood\u{1b}[0m  b"
        );
    }
}
