//! Waves in a terminal: a curve in braille dots, a sparkline, and a screen that redraws in place.
//! Knows nothing of jobs or series: numbers in, lines out. What is drawn is chosen in [`crate::watch`].

use std::io::{self, Write};

use crossterm::cursor::{Hide, MoveToPreviousLine, Show};
use crossterm::queue;
use crossterm::terminal::{Clear, ClearType};

const BARS: [char; 8] = ['▁', '▂', '▃', '▄', '▅', '▆', '▇', '█'];
/// The bit of a braille dot, by column and row from the top.
const DOTS: [[u32; 4]; 2] = [[0x01, 0x02, 0x04, 0x40], [0x08, 0x10, 0x20, 0x80]];

/// One bar per value, between the ends of `range`; what lies outside is drawn at the end.
///
/// ```
/// use slackwater_cli::picture::sparkline;
/// assert_eq!(sparkline(&[-1.0, 0.0, 1.0, 9.0], (-1.0, 1.0)), "▁▅██");
/// ```
pub fn sparkline(values: &[f64], range: (f64, f64)) -> String {
    values.iter().map(|&value| BARS[level(value, range, BARS.len())]).collect()
}

/// A curve of `rows` lines, one value to a character, the newest at the right. Neighbours are
/// joined, so that a wave is a line and not a cloud.
pub fn curve(values: &[f64], range: (f64, f64), rows: usize) -> Vec<String> {
    let mut cells = vec![vec![0u32; values.len()]; rows];
    let height = |value: f64| level(value, range, rows * 4);
    let mut before = None;
    for (at, &value) in values.iter().enumerate() {
        let next = values.get(at + 1).copied().unwrap_or(value);
        for (side, value) in [value, (value + next) / 2.0].into_iter().enumerate() {
            let here = height(value);
            let from = before.unwrap_or(here);
            for up in here.min(from)..=here.max(from) {
                let down = rows * 4 - 1 - up;
                cells[down / 4][at] |= DOTS[side][down % 4];
            }
            before = Some(here);
        }
    }
    let braille = |dots: u32| char::from_u32(0x2800 + dots).unwrap_or(' ');
    cells.into_iter().map(|row| row.into_iter().map(braille).collect()).collect()
}

/// Which of `levels` equal steps of `range` a value falls into.
fn level(value: f64, (low, high): (f64, f64), levels: usize) -> usize {
    let share = (value - low) / (high - low);
    ((share * levels as f64) as usize).min(levels - 1)
}

/// A block of lines that is drawn over itself.
#[derive(Debug, Default)]
pub struct Screen {
    drawn: u16,
}

impl Screen {
    /// Draws `lines` where the last ones stood, each cut at `width` characters.
    ///
    /// # Errors
    /// If the terminal refuses.
    pub fn draw(&mut self, out: &mut impl Write, lines: &[String], width: usize) -> io::Result<()> {
        queue!(out, Hide)?;
        if self.drawn > 0 {
            queue!(out, MoveToPreviousLine(self.drawn))?;
        }
        for line in lines {
            let cut: String = line.chars().take(width).collect();
            write!(out, "{cut}")?;
            queue!(out, Clear(ClearType::UntilNewLine))?;
            writeln!(out)?;
        }
        self.drawn = u16::try_from(lines.len()).unwrap_or(u16::MAX);
        out.flush()
    }

    /// Leaves the last picture standing and gives the cursor back.
    ///
    /// # Errors
    /// If the terminal refuses.
    pub fn leave(&mut self, out: &mut impl Write) -> io::Result<()> {
        queue!(out, Show)?;
        self.drawn = 0;
        out.flush()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_curve_is_a_line_from_value_to_value() {
        assert_eq!(curve(&[0.0, 4.0, 7.9], (0.0, 8.0), 2), ["⠀⣠⠏", "⣰⠃⠀"]);
        assert_eq!(curve(&[9.0, -9.0], (0.0, 1.0), 1), ["⢹⣀"]);
    }

    #[test]
    fn a_screen_is_drawn_over_itself() {
        let mut screen = Screen::default();
        let mut out = Vec::new();
        screen.draw(&mut out, &["a".into(), "bcd".into()], 2).expect("memory");
        assert!(!String::from_utf8_lossy(&out).contains("\x1b[2F"));
        screen.draw(&mut out, &["a".into()], 2).expect("memory");
        let text = String::from_utf8_lossy(&out).into_owned();
        assert!(text.contains("bc\x1b[K\n") && text.contains("\x1b[2F"), "{text:?}");
    }
}
