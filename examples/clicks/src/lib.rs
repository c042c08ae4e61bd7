//! A pipeline of one's own: who visits a site, how long, and which pages are asked for.
//! Uses the crate `slackwater` and nothing else of the house, and never learns whether its cluster
//! is simulated. Its tests are in `tests/clicks.rs`; `cargo run -p slackwater-clicks -- run clicks
//! --local` runs it.

use slackwater::prelude::*;

/// One click.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Click {
    /// Who.
    pub visitor: u32,
    /// Which page.
    pub page: String,
    /// When.
    pub at: EventTime,
}

/// A visit so far: a visitor's clicks with no silence between them of [`SILENCE`] or more.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Visit {
    /// Who.
    pub visitor: u32,
    /// When it began.
    pub since: EventTime,
    /// When its last click was.
    pub until: EventTime,
    /// How many clicks it has.
    pub clicks: i64,
}

/// What the second version of the job knows of a visit so far.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Tour {
    /// What the first version knows of it.
    pub visit: Visit,
    /// On which page it began; unknown of a visit that the first version saw begin.
    pub landing: Option<String>,
}

/// After so much silence the next click begins a new visit.
pub const SILENCE: std::time::Duration = secs(3);

/// The visit that each click belongs to, as it stands with that click.
pub fn visits(clicks: &Stream<Click>) -> Stream<Visit> {
    clicks.key_by(|click| click.visitor).scan("visits", None, |visit: &mut Option<Visit>, click| {
        let open = visit.take().filter(|visit| click.at < visit.until.plus(SILENCE));
        let Click { visitor, at, .. } = click;
        let open = open.unwrap_or(Visit { visitor, since: at, until: at, clicks: 0 });
        visit.insert(Visit { until: at.max(open.until), clicks: open.clicks + 1, ..open }).clone()
    })
}

/// The same in the second version of the job: with the page on which each visit began.
pub fn tours(clicks: &Stream<Click>) -> Stream<Tour> {
    let tours = clicks.key_by(|click| click.visitor).scan(
        "visits",
        None,
        |tour: &mut Option<Tour>, click| {
            let open = tour.take().filter(|tour| click.at < tour.visit.until.plus(SILENCE));
            let Click { visitor, at, page } = click;
            let visit = Visit { visitor, since: at, until: at, clicks: 0 };
            let Tour { visit, landing } = open.unwrap_or(Tour { visit, landing: Some(page) });
            let visit = Visit { until: at.max(visit.until), clicks: visit.clicks + 1, ..visit };
            tour.insert(Tour { visit, landing }).clone()
        },
    );
    // State of the first version becomes state of this one, visit by visit. Without this line a
    // start from a savepoint of the first version is refused, and says what differs.
    tours.migrate(|visit: Option<Visit>| visit.map(|visit| Tour { visit, landing: None }))
}

/// Clicks per page and second, and the clicks that came too late for theirs.
pub fn pages(clicks: &Stream<Click>) -> WindowOut<String, i64, Click> {
    let pages = clicks.key_by(|click| click.page.clone());
    pages.window(tumbling(secs(1))).fold("pages", 0, |count, _| *count += 1)
}

/// The whole job. Settings: `clicks` of each of two splits, `visitors`, `parallelism`; `bound` says
/// how late a click may come, and `late_every` which clicks come later than that (0: none).
///
/// # Errors
/// If a setting cannot be read.
pub fn clicks(env: &Env, settings: &mut Settings) -> Result<(), PlanError> {
    let clicks = clicks_and_pages(env, settings)?;
    let of_visit = series::sink(|visit: &Visit| {
        let fields = [("clicks", visit.clicks.into())];
        Point::new("visits", visit.visitor.to_string(), visit.since, fields)
    });
    visits(&clicks).sink("visits-sink", of_visit);
    Ok(())
}

/// The second version of the job, whose visits say where they began. It goes on with what the first
/// has left: `run clicks@v2 -s SAVEPOINT`.
///
/// # Errors
/// If a setting cannot be read.
pub fn clicks_v2(env: &Env, settings: &mut Settings) -> Result<(), PlanError> {
    let clicks = clicks_and_pages(env, settings)?;
    let of_tour = series::sink(|Tour { visit, landing }: &Tour| {
        let landing = landing.as_deref().unwrap_or("unknown");
        let fields = [("clicks", visit.clicks.into()), ("landing", landing.into())];
        Point::new("visits", visit.visitor.to_string(), visit.since, fields)
    });
    tours(&clicks).sink("visits-sink", of_tour);
    Ok(())
}

/// What both versions have in common: the clicks themselves, and how often each page is asked for.
fn clicks_and_pages(env: &Env, settings: &mut Settings) -> Result<Stream<Click>, PlanError> {
    let (rows, visitors) = (settings.take("clicks", 300)?, settings.take("visitors", 20)?);
    let late_every = settings.take("late_every", 0)?;
    let bound = settings.take_span("bound", ms(300))?;
    env.parallelism(settings.take("parallelism", 2)?).checkpoint_every(secs(1));
    env.restart(Restart::fixed(1_000, ms(500)));

    let made = generate::source(2, rows, move |split, n| {
        let click = click(split, n, visitors, late_every);
        (click.at, click)
    });
    let clicks = env.source("clicks", made.every(ms(20)), Watermarks::bounded(bound));
    let pages = pages(&clicks);
    let of_page = series::sink(|pane: &Pane<String, i64>| {
        Point::new("pages", &*pane.key, pane.window.start, [("clicks", pane.value.into())])
    });
    pages.results.sink_two_phase("pages-sink", of_page.two_phase());
    let of_late = series::sink(|click: &Click| {
        let fields = [("visitor", i64::from(click.visitor).into())];
        Point::new("late", &*click.page, click.at, fields)
    });
    pages.late.sink_two_phase("late-sink", of_late.two_phase());
    Ok(clicks)
}

/// The n-th click of a split: the same in every run.
pub fn click(split: u32, n: u64, visitors: u32, late_every: u64) -> Click {
    let mixed = (n * 2 + u64::from(split)).wrapping_mul(0x9e37_79b9_7f4a_7c15) >> 32;
    let is_late = late_every > 0 && n % late_every == late_every - 1;
    let way = if is_late { 2_000 } else { (mixed % 13) as i64 * 20 };
    Click {
        // A visitor's clicks are all of one split, so that they keep their order.
        visitor: (mixed % u64::from(visitors)) as u32 * 2 + split,
        page: ["/", "/news", "/about"][(mixed >> 8) as usize % 3].to_owned(),
        at: EventTime::from_millis(1_700_000_000_000 + n as i64 * 20 + i64::from(split) - way),
    }
}

/// Every job of this crate.
pub fn catalog() -> Catalog {
    Catalog::new().job("clicks", "v1", clicks).job("clicks", "v2", clicks_v2)
}
