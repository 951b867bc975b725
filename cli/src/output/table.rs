//! Aligned columns for people, as wide as the terminal and no wider: columns that matter less give way, then long cells are cut.

use super::{
    Output,
    text::{clean, cut, width},
};

/// What stands between two columns.
const GAP: usize = 2;

/// A cell is not cut to less than this.
const NARROWEST: usize = 6;

/// Rows under a heading; every cell is made harmless as it comes in.
pub(crate) struct Table {
    columns: Vec<Column>,
    rows: Vec<Row>,
}

struct Column {
    name: String,
    /// The highest gives way first; zero never does.
    rank: u8,
}

struct Row {
    cells: Vec<String>,
    is_alarming: bool,
}

impl Table {
    /// An empty table with these column names, of which none gives way.
    pub(crate) fn new(heading: &[&str]) -> Self {
        Self::ranked(&heading.iter().map(|&name| (name, 0)).collect::<Vec<_>>())
    }

    /// An empty table with these columns: where there is no room for all, the one with the highest number gives way first. Zero never does.
    pub(crate) fn ranked(heading: &[(&str, u8)]) -> Self {
        let columns = heading.iter().map(|&(name, rank)| Column { name: name.to_owned(), rank });
        Self { columns: columns.collect(), rows: Vec::new() }
    }

    /// Adds a row.
    pub(crate) fn row<I: IntoIterator<Item = String>>(&mut self, cells: I) {
        self.add(cells, false);
    }

    /// Adds a row that should be seen first, where colour is allowed.
    pub(crate) fn alarming_row<I: IntoIterator<Item = String>>(&mut self, cells: I) {
        self.add(cells, true);
    }

    /// Whether it has no rows.
    pub(crate) fn is_empty(&self) -> bool {
        self.rows.is_empty()
    }

    /// The table as text, the heading in bold where that is allowed.
    pub(crate) fn render(&self, output: Output) -> String {
        let shown = self.fitting(output.width);
        let names = self.columns.iter().map(|column| column.name.clone()).collect::<Vec<_>>();
        let mut text = output.bold(&line(&names, &shown, output.width)) + "\n";
        for row in &self.rows {
            let line = line(&row.cells, &shown, output.width);
            text.push_str(&if row.is_alarming { output.alarming(&line) } else { line });
            text.push('\n');
        }
        text
    }

    fn add<I: IntoIterator<Item = String>>(&mut self, cells: I, is_alarming: bool) {
        self.rows.push(Row { cells: cells.into_iter().map(|cell| clean(&cell)).collect(), is_alarming });
    }

    /// The columns that are shown, each with how wide it is.
    fn fitting(&self, room: Option<usize>) -> Vec<(usize, usize)> {
        let mut shown: Vec<_> = self.widths().into_iter().enumerate().collect();
        let Some(room) = room else { return shown };
        let rank = |index: usize| self.columns.get(index).map_or(0, |column| column.rank);
        while taken(&shown) > room {
            let Some(least) = shown.iter().map(|(index, _)| rank(*index)).max().filter(|rank| *rank > 0) else { break };
            shown.retain(|(index, _)| rank(*index) != least);
        }
        while taken(&shown) > room {
            let over = taken(&shown) - room;
            let Some((_, widest)) = shown.iter_mut().max_by_key(|(_, width)| *width) else { break };
            if *widest <= NARROWEST {
                break;
            }
            // One at a time where that is enough: two columns of one width then stay so.
            *widest -= if over > 40 { over / 4 } else { 1 }.min(*widest - NARROWEST);
        }
        shown
    }

    fn widths(&self) -> Vec<usize> {
        let mut widths: Vec<_> = self.columns.iter().map(|column| width(&column.name)).collect();
        for row in &self.rows {
            for (widest, cell) in widths.iter_mut().zip(&row.cells) {
                *widest = (*widest).max(width(cell));
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

fn taken(shown: &[(usize, usize)]) -> usize {
    shown.iter().map(|(_, width)| width + GAP).sum::<usize>().saturating_sub(GAP)
}

fn line(cells: &[String], shown: &[(usize, usize)], room: Option<usize>) -> String {
    let mut line = String::new();
    for (index, room) in shown {
        let cell = cut(cells.get(*index).map_or("", String::as_str), *room);
        let padding = room.saturating_sub(width(&cell)) + GAP;
        line.push_str(&cell);
        line.extend(std::iter::repeat_n(' ', padding));
    }
    let line = line.trim_end();
    // The columns that never give way may be too much for a very narrow terminal.
    room.map_or_else(|| line.to_owned(), |room| cut(line, room))
}

#[cfg(test)]
mod tests {
    use super::*;

    const PLAIN: Output = Output::plain();

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
        assert_eq!(table.render(Output { colour: true, ..PLAIN }), "\u{1b}[1mID\u{1b}[0m\n");
    }

    fn wide(room: usize) -> Output {
        Output { width: Some(room), ..PLAIN }
    }

    #[test]
    fn columns_that_matter_less_give_way_and_come_back() {
        let mut table = Table::ranked(&[("ID", 0), ("FROM", 2), ("TTY", 1), ("ENDS", 0)]);
        table.row(["3f2a".into(), "10.0.0.7".into(), "pts/3".into(), "in 14 min".into()]);
        let heading = |room| table.render(wide(room)).lines().next().unwrap().to_owned();
        assert_eq!(heading(80), "ID    FROM      TTY    ENDS");
        assert_eq!(heading(31), "ID    TTY    ENDS");
        assert_eq!(heading(17), "ID    ENDS");
        assert!(table.render(PLAIN).contains("10.0.0.7  pts/3"), "without a terminal nothing gives way");
    }

    #[test]
    fn nothing_is_wider_than_the_terminal() {
        let mut table = Table::ranked(&[("ID", 0), ("USER", 0), ("MESSAGE", 1)]);
        table.row(["3f2a".into(), "\u{6771}\u{4eac}\u{592a}\u{90ce}".repeat(9), "a long story ".repeat(30)]);
        for room in [1, 7, 13, 40, 80, 200, 1000] {
            let text = table.render(wide(room));
            assert!(text.lines().all(|line| width(line) <= room), "{room}: {text}");
        }
    }

    #[test]
    fn wide_characters_count_as_what_they_take() {
        let mut table = Table::new(&["USER", "TTY"]);
        table.row(["\u{6771}\u{4eac}".into(), "pts/1".into()]);
        table.row(["zoe\u{308}".into(), "pts/2".into()]);
        assert_eq!(table.render(PLAIN), "USER  TTY\n\u{6771}\u{4eac}  pts/1\nzoe\u{308}   pts/2\n");
    }

    #[test]
    fn a_row_that_alarms_is_coloured_as_a_whole_and_only_where_colour_is() {
        let mut table = Table::new(&["ID"]);
        table.alarming_row(["3f2a".into()]);
        assert!(table.render(Output { colour: true, ..PLAIN }).ends_with("\u{1b}[31m3f2a\u{1b}[0m\n"));
        assert_eq!(table.render(PLAIN), "ID\n3f2a\n");
    }
}
