//! QR codes out of half blocks, two modules a character cell, small enough that a code and its prompt share one
//! 80x24 screen.

use qrcode::{Color, EcLevel, QrCode};
use zeroize::Zeroizing;

/// What the terminal looks like.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Background {
    /// Paint the code's own black and white; right on every terminal that knows colours.
    Painted,
    /// Plain characters for light text on a dark ground.
    Dark,
    /// Plain characters for dark text on a light ground.
    Light,
}

/// The light frame around the code. The standard wants four modules; readers find it with two, and a code of 41 modules
/// then leaves a line for the prompt.
const FRAME: usize = 2;

/// A text that is too long for any QR code.
#[derive(Clone, Copy, Debug, thiserror::Error, PartialEq, Eq)]
#[error("the text is too long for a QR code")]
pub struct TooLong;

/// `text` as lines of characters. It shows a secret as a rule, so it is wiped.
///
/// # Errors
/// If `text` is too long for any QR code.
pub fn render(text: &str, background: Background) -> Result<Zeroizing<String>, TooLong> {
    // A screen is not a crumpled label: the lowest error correction keeps the code small.
    let code = QrCode::with_error_correction_level(text, EcLevel::L).map_err(|_too_long| TooLong)?;
    let modules = Modules { width: code.width(), colours: code.to_colors() };
    let side = modules.width + 2 * FRAME;
    // Room for all of it: a text that grows leaves copies behind.
    let mut lines = Zeroizing::new(String::with_capacity(side * (side * 3 + 32)));
    for row in (0..side).step_by(2) {
        let cells = (0..side).map(|column| cell(modules.dark(column, row), modules.dark(column, row + 1), background));
        match background {
            // 107 is the brighter white; where it is unknown, 47 stands.
            Background::Painted => {
                lines.push_str("\x1b[30;47;107m");
                lines.extend(cells);
                lines.push_str("\x1b[0m\n");
            }
            Background::Dark | Background::Light => {
                lines.extend(cells);
                lines.push('\n');
            }
        }
    }
    Ok(lines)
}

struct Modules {
    width: usize,
    colours: Vec<Color>,
}

impl Modules {
    /// Whether the module is dark; everything outside of the code is light.
    fn dark(&self, column: usize, row: usize) -> bool {
        let inside = |place: usize| place.checked_sub(FRAME).filter(|place| *place < self.width);
        let (Some(x), Some(y)) = (inside(column), inside(row)) else { return false };
        self.colours.get(y * self.width + x) == Some(&Color::Dark)
    }
}

/// The character whose upper and lower half show these two modules: its ink is what the background is not.
fn cell(upper_dark: bool, lower_dark: bool, background: Background) -> char {
    let ink_is_dark = match background {
        Background::Painted | Background::Light => true,
        Background::Dark => false,
    };
    match (upper_dark == ink_is_dark, lower_dark == ink_is_dark) {
        (true, true) => '█',
        (true, false) => '▀',
        (false, true) => '▄',
        (false, false) => ' ',
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const URI: &str = "otpauth://totp/example.org:alice%40host.example.org?secret=JBSWY3DPEHPK3PXPJBSWY3DPEHPK3PXP&issuer=example.org";

    #[test]
    fn a_code_and_its_prompt_fit_on_one_screen() {
        let lines = render(URI, Background::Dark).unwrap();
        assert!(lines.lines().count() <= 23, "{} lines", lines.lines().count());
        assert!(lines.lines().all(|line| line.chars().count() <= 80));
    }

    #[test]
    fn a_light_ground_shows_the_negative_of_a_dark_one() {
        let dark = render(URI, Background::Dark).unwrap();
        let light = render(URI, Background::Light).unwrap();
        for (one, other) in dark.chars().zip(light.chars()) {
            assert!(matches!((one, other), ('█', ' ') | (' ', '█') | ('▀', '▄') | ('▄', '▀') | ('\n', '\n')));
        }
    }

    /// Reads a drawing as a phone would: ten dots a module, amid the ground that the terminal has.
    fn read(drawing: &str, ink_is_dark: bool) -> String {
        const DOTS: usize = 10;
        let rows: Vec<Vec<char>> = drawing.lines().map(|line| line.chars().collect()).collect();
        let margin = 4;
        let is_dark = |x: usize, y: usize| {
            let (column, row) = ((x / DOTS).wrapping_sub(margin), (y / DOTS).wrapping_sub(margin));
            let cell = rows.get(row / 2).and_then(|row| row.get(column)).copied().unwrap_or(' ');
            let has_ink = matches!((cell, row % 2), ('█', _) | ('▀', 0) | ('▄', 1));
            has_ink == ink_is_dark
        };
        let side = |modules: usize| (modules + 2 * margin) * DOTS;
        let (width, height) = (side(rows[0].len()), side(rows.len() * 2));
        let shade = |x, y| if is_dark(x, y) { 0 } else { 255 };
        let mut photograph = rqrr::PreparedImage::prepare_from_greyscale(width, height, shade);
        let grids = photograph.detect_grids();
        grids[0].decode().unwrap().1
    }

    #[test]
    fn a_reader_that_is_not_ours_reads_what_is_drawn() {
        assert_eq!(read(&render(URI, Background::Dark).unwrap(), false), URI);
        assert_eq!(read(&render(URI, Background::Light).unwrap(), true), URI);
    }

    #[test]
    fn the_finder_pattern_stands_in_its_frame() {
        let first = render(URI, Background::Light).unwrap().lines().nth(1).unwrap().to_owned();
        assert!(first.starts_with("  █▀▀▀▀▀█ "), "{first}");
    }

    #[test]
    fn a_painted_code_ends_its_colours_on_every_line() {
        for line in render(URI, Background::Painted).unwrap().lines() {
            assert!(line.starts_with("\x1b[30;47;107m") && line.ends_with("\x1b[0m"));
        }
    }
}
