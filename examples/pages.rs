//! A pipeline of one's own: how often was each page asked for, minute by minute? It uses the crate
//! `slackwater` and nothing else of the house, and never learns whether its cluster is simulated.
//! Its tests are below; `cargo run --example pages -- run pages --local` runs it.

use slackwater::prelude::*;

/// A line of the input.
#[derive(Clone, Debug, Serialize, Deserialize)]
struct Click {
    page: String,
    at_ms: i64,
    visitor: String,
}

/// A line of the output.
#[derive(Clone, Debug, Serialize, Deserialize)]
struct Count {
    page: String,
    minute: i64,
    clicks: u64,
}

/// Clicks per page and minute, and the clicks that came too late for their minute.
fn per_minute(clicks: &Stream<csv::Row<Click>>) -> WindowOut<String, u64, csv::Row<Click>> {
    let pages = clicks.key_by(|click| click.value.page.clone());
    pages.window(tumbling(mins(1))).fold("minutes", 0, |count, _| *count += 1)
}

/// The whole job: a file, the operators, two files. `bound` says how late a click may come.
fn pages(env: &Env, settings: &mut Settings) -> Result<(), PlanError> {
    let input = settings.take("input", "examples/data/clicks.csv".to_owned())?;
    let out = settings.take("out", "target/pages".to_owned())?;
    let bound = settings.take_span("bound", secs(30))?;

    let file = csv::source(input, |click: &Click| EventTime::from_millis(click.at_ms));
    let minutes = per_minute(&env.source("clicks", file, Watermarks::bounded(bound)));
    minutes
        .results
        .map(|pane| Count {
            page: pane.key,
            minute: pane.window.start.as_millis() / 60_000,
            clicks: pane.value,
        })
        .sink("counts", csv::sink(format!("{out}/counts.csv"), ["page", "minute", "clicks"]));
    minutes
        .late
        .map(|click| click.value)
        .sink("late", csv::sink(format!("{out}/late.csv"), ["page", "at_ms", "visitor"]));
    Ok(())
}

slackwater::main!(pages);

#[cfg(test)]
mod tests {
    use slackwater::dataflow::harness::{Element, Harness};

    use super::*;

    fn click(page: &str, at_ms: i64) -> csv::Row<Click> {
        csv::Row { record: 0, value: Click { page: page.into(), at_ms, visitor: "ann".into() } }
    }

    #[test]
    fn a_minute_is_counted_when_the_watermark_has_passed_its_last_millisecond() {
        let mut h = Harness::new(|clicks| per_minute(&clicks));
        h.element(1_000, click("/start", 1_000)).element(59_999, click("/start", 59_999));
        h.element(60_000, click("/start", 60_000)).watermark(59_998);
        assert_eq!(h.output(), []);
        h.watermark(59_999);
        let minutes = h.output();
        assert_eq!((minutes.len(), minutes[0].window.start.as_millis()), (1, 0));
        assert_eq!((minutes[0].key.as_str(), minutes[0].value), ("/start", 2));
    }

    #[test]
    fn a_click_that_comes_too_late_is_not_lost() {
        let mut h = Harness::new(|clicks| per_minute(&clicks));
        h.watermark(59_999).element(55_000, click("/news", 55_000)).end();
        assert_eq!(h.output(), []);
        assert!(h.take_late().iter().any(|late| matches!(late, Element::Record(..))));
    }
}
