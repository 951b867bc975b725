//! The phone's camera: reads the QR code that is on somebody's screen, with a reader that is not authflow's.

/// Dots a module, as a photograph has many.
const DOTS: usize = 10;

/// What of the terminal is around the code, in modules.
const MARGIN: usize = 4;

/// What the last QR code on the screen says. Plain ones are taken for light text on a dark ground.
#[must_use]
#[track_caller]
pub fn scan(screen: &str) -> String {
    scan_inked(screen, screen.contains("\u{1b}[30;47;107m"))
}

/// What the last QR code says on a screen that shows dark text on a light ground.
#[must_use]
#[track_caller]
pub fn scan_on_light_ground(screen: &str) -> String {
    scan_inked(screen, true)
}

#[track_caller]
fn scan_inked(screen: &str, ink_is_dark: bool) -> String {
    let plain = screen.replace("\u{1b}[30;47;107m", "").replace("\u{1b}[0m", "");
    let rows = drawing(&plain);
    assert!(!rows.is_empty(), "there is no QR code on the screen:\n{plain}");
    read(&rows, ink_is_dark).unwrap_or_else(|| panic!("nobody can read this QR code:\n{plain}"))
}

/// The lines of the last drawing.
fn drawing(screen: &str) -> Vec<Vec<char>> {
    let is_drawn = |line: &&str| line.chars().count() > 20 && line.chars().all(|c| " ▀▄█".contains(c));
    let lines: Vec<_> = screen.lines().collect();
    let Some(end) = lines.iter().rposition(is_drawn) else { return Vec::new() };
    let drawn = lines[..=end].iter().rev().take_while(|line| is_drawn(line));
    let mut rows: Vec<Vec<char>> = drawn.map(|line| line.chars().collect()).collect();
    rows.reverse();
    rows
}

fn read(rows: &[Vec<char>], ink_is_dark: bool) -> Option<String> {
    let is_dark = |x: usize, y: usize| {
        let (column, row) = ((x / DOTS).wrapping_sub(MARGIN), (y / DOTS).wrapping_sub(MARGIN));
        let inside = rows.get(row / 2).and_then(|row| row.get(column)).copied();
        let has_ink = inside.is_some_and(|cell| matches!((cell, row % 2), ('█', _) | ('▀', 0) | ('▄', 1)));
        // Around a code that paints its own light frame nothing is known; a phone is held so that it sees only that.
        inside.is_some() && has_ink == ink_is_dark || inside.is_none() && !ink_is_dark
    };
    let side = |modules: usize| (modules + 2 * MARGIN) * DOTS;
    let (width, height) = (side(rows.first()?.len()), side(rows.len() * 2));
    let shade = |x, y| if is_dark(x, y) { 0 } else { 255 };
    let mut photograph = rqrr::PreparedImage::prepare_from_greyscale(width, height, shade);
    photograph.detect_grids().first()?.decode().ok().map(|(_, text)| text)
}
