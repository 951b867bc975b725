//! Aligned columns for people.

use super::{Output, text::clean};

/// Rows under a heading; every cell is made harmless as it comes in.
pub(crate) struct Table {
    heading: Vec<String>,
    rows: Vec<Vec<String>>,
}

impl Table {
    /// An empty table with these column names.
    pub(crate) fn new(heading: &[&str]) -> Self {
        Self { heading: heading.iter().map(|&name| name.to_owned()).collect(), rows: Vec::new() }
    }

    /// Adds a row.
    pub(crate) fn row<I: IntoIterator<Item = String>>(&mut self, cells: I) {
        self.rows.push(cells.into_iter().map(|cell| clean(&cell)).collect());
    }

    /// Whether it has no rows.
    pub(crate) fn is_empty(&self) -> bool {
        self.rows.is_empty()
    }

    /// The table as text, the heading in bold where that is allowed.
    pub(crate) fn render(&self, output: Output) -> String {
        let widths = self.widths();
        let mut text = output.bold(&line(&self.heading, &widths)) + "\n";
        for row in &self.rows {
            text.push_str(&line(row, &widths));
            text.push('\n');
        }
        text
    }

    fn widths(&self) -> Vec<usize> {
        let mut widths = vec![0; self.heading.len()];
        for row in std::iter::once(&self.heading).chain(&self.rows) {
            for (width, cell) in widths.iter_mut().zip(row) {
                *width = (*width).max(cell.chars().count());
            }
        }
        widths
    }
}

/// Lines of `name  value`, the values aligned; empty values are left out.
pub(crate) fn facts(output: Output, facts: &[(&str, String)]) -> String {
    let width = facts.iter().map(|(name, _)| name.len()).max().unwrap_or(0);
    let mut text = String::new();
    for (name, value) in facts.iter().filter(|(_, value)| !value.is_empty()) {
        text.push_str(&output.bold(&format!("{name:width$}")));
        text.push_str(&format!("  {}\n", clean(value)));
    }
    text
}

fn line(cells: &[String], widths: &[usize]) -> String {
    let mut line = String::new();
    for (cell, &width) in cells.iter().zip(widths) {
        line.push_str(&format!("{cell:width$}  "));
    }
    line.trim_end().to_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    const PLAIN: Output = Output { json: false, colour: false };

    #[test]
    fn columns_stand_under_each_other() {
        let mut table = Table::new(&["ID", "USER"]);
        table.row(["3f2a".into(), "alice".into()]);
        table.row(["7".into(), "bob".into()]);
        assert_eq!(table.render(PLAIN), "ID    USER\n3f2a  alice\n7     bob\n");
    }

    #[test]
    fn a_cell_cannot_break_out_of_its_row() {
        let mut table = Table::new(&["USER"]);
        table.row(["a\nb\u{1b}c".into()]);
        assert_eq!(table.render(PLAIN), "USER\na?b?c\n");
    }

    #[test]
    fn facts_without_a_value_are_left_out() {
        assert_eq!(facts(PLAIN, &[("user", "alice".into()), ("tty", String::new())]), "user  alice\n");
    }

    #[test]
    fn only_the_heading_is_coloured() {
        let table = Table::new(&["ID"]);
        assert_eq!(table.render(Output { json: false, colour: true }), "\u{1b}[1mID\u{1b}[0m\n");
    }
}
