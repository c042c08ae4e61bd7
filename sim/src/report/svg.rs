//! Shapes as SVG text: everything that comes from a run is escaped, numbers have two digits.
//! Knows nothing of what is drawn, and equal shapes give equal bytes. Used by the rooms beside it.

use std::fmt::{Display, Write};

/// Text as it may stand in HTML, also within quotes.
pub(in crate::report) fn escaped(text: impl Display) -> String {
    let mut out = String::new();
    for letter in text.to_string().chars() {
        match letter {
            '&' => out.push_str("&amp;"),
            '<' => out.push_str("&lt;"),
            '>' => out.push_str("&gt;"),
            '"' => out.push_str("&quot;"),
            '\'' => out.push_str("&#39;"),
            other => out.push(other),
        }
    }
    out
}

/// What is said of a shape: its class, what belongs together with it, and the fact it stands for.
#[derive(Copy, Clone, Default)]
pub(in crate::report) struct Said<'a> {
    pub(in crate::report) class: &'a str,
    /// Shapes of one group light up together; empty for none.
    pub(in crate::report) group: &'a str,
    /// Shown on hover and focus.
    pub(in crate::report) text: &'a str,
}

/// A drawing under way.
#[derive(Default)]
pub(in crate::report) struct Drawing(String);

impl Drawing {
    fn open(&mut self, name: &str, said: Said<'_>) {
        let _ = write!(self.0, "<{name} class=\"{}\"", escaped(said.class));
        if !said.group.is_empty() {
            let _ = write!(self.0, " data-g=\"{}\"", escaped(said.group));
        }
        if !said.text.is_empty() {
            let _ = write!(self.0, " tabindex=\"0\" data-t=\"{}\"", escaped(said.text));
        }
    }

    fn close(&mut self, said: Said<'_>, name: &str) {
        match said.text {
            "" => self.0.push_str("/>\n"),
            text => {
                let _ = writeln!(self.0, "><title>{}</title></{name}>", escaped(text));
            }
        }
    }

    pub(in crate::report) fn rect(
        &mut self,
        (x, y): (f64, f64),
        (width, height): (f64, f64),
        said: Said<'_>,
    ) {
        self.open("rect", said);
        let _ = write!(
            self.0,
            " x=\"{x:.2}\" y=\"{y:.2}\" width=\"{width:.2}\" height=\"{height:.2}\""
        );
        self.close(said, "rect");
    }

    pub(in crate::report) fn circle(&mut self, (x, y): (f64, f64), radius: f64, said: Said<'_>) {
        self.open("circle", said);
        let _ = write!(self.0, " cx=\"{x:.2}\" cy=\"{y:.2}\" r=\"{radius:.2}\"");
        self.close(said, "circle");
    }

    pub(in crate::report) fn line(&mut self, points: &[(f64, f64)], said: Said<'_>) {
        self.open("polyline", said);
        self.0.push_str(" points=\"");
        for (x, y) in points {
            let _ = write!(self.0, "{x:.2},{y:.2} ");
        }
        self.0.push('"');
        self.close(said, "polyline");
    }

    pub(in crate::report) fn text(&mut self, (x, y): (f64, f64), class: &str, text: impl Display) {
        let (class, text) = (escaped(class), escaped(text));
        let _ = writeln!(self.0, "<text class=\"{class}\" x=\"{x:.2}\" y=\"{y:.2}\">{text}</text>");
    }

    /// The drawing as a document of its own, on paper, with its style.
    pub(in crate::report) fn standing_alone(
        self,
        style: &str,
        (width, height): (f64, f64),
    ) -> String {
        format!(
            "<svg xmlns=\"http://www.w3.org/2000/svg\" width=\"{width:.0}\" height=\"{height:.0}\" \
             viewBox=\"0 0 {width:.0} {height:.0}\" role=\"img\">\n<style>\n{style}</style>\n\
             <rect class=\"paper\" width=\"{width:.0}\" height=\"{height:.0}\"/>\n{}</svg>\n",
            self.0
        )
    }

    /// The drawing, of this size.
    pub(in crate::report) fn finish(self, width: f64, height: f64) -> String {
        format!(
            "<svg xmlns=\"http://www.w3.org/2000/svg\" width=\"{width:.0}\" height=\"{height:.0}\" \
             viewBox=\"0 0 {width:.0} {height:.0}\" role=\"img\">\n<defs><pattern id=\"hatch\" \
             width=\"5\" height=\"5\" patternUnits=\"userSpaceOnUse\" patternTransform=\"rotate(45)\">\
             <line class=\"hatch\" x1=\"0\" y1=\"0\" x2=\"0\" y2=\"5\"/></pattern></defs>\n{}</svg>\n",
            self.0
        )
    }
}
