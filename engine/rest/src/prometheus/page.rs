//! A page of metrics: families, and the samples of each under their labels.
//! Never has a family in two places or a sample twice, and no name that Prometheus would refuse.
//! How it is written is the library's; what is on it, [`super`]'s.

use std::borrow::Cow;
use std::collections::{BTreeMap, BTreeSet};
use std::fmt;

use prometheus_client::collector::Collector;
use prometheus_client::encoding::{
    DescriptorEncoder, EncodeLabelSet, LabelSetEncoder, NoLabelSet, text,
};
use prometheus_client::metrics::MetricType;
use prometheus_client::registry::{Registry, Unit};

/// How a page is written.
#[derive(Copy, Clone, Debug, PartialEq, Eq)]
pub(super) enum Format {
    /// As Prometheus asks for it.
    OpenMetrics,
    /// As Prometheus had it first, and as most tools read it.
    Classic,
}

impl Format {
    /// What a caller wants that accepts this.
    pub fn accepted(accept: Option<&str>) -> Self {
        match accept.is_some_and(|accept| accept.contains("application/openmetrics-text")) {
            true => Self::OpenMetrics,
            false => Self::Classic,
        }
    }

    /// What is said of the page.
    pub fn content_type(self) -> &'static str {
        match self {
            Self::OpenMetrics => "application/openmetrics-text; version=1.0.0; charset=utf-8",
            Self::Classic => "text/plain; version=0.0.4; charset=utf-8",
        }
    }
}

/// The labels of a sample, in the order in which they are shown.
#[derive(Clone, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Labels(Vec<(&'static str, String)>);

impl Labels {
    /// The same and one more.
    pub fn with(&self, name: &'static str, value: &str) -> Self {
        let mut labels = self.0.clone();
        labels.push((name, value.to_owned()));
        Self(labels)
    }
}

impl EncodeLabelSet for Labels {
    fn encode(&self, encoder: &mut LabelSetEncoder<'_>) -> Result<(), fmt::Error> {
        let labels: &[(&str, String)] = &self.0;
        labels.encode(encoder)
    }
}

/// What a family is.
#[derive(Copy, Clone, Debug)]
pub(super) enum Kind {
    /// A number that moves either way.
    Gauge,
    /// A span that moves either way.
    Seconds,
    /// A size that moves either way.
    Bytes,
    /// A number that only grows.
    Counter,
    /// A time that only grows.
    SecondCounter,
    /// A size that only grows.
    ByteCounter,
    /// Spans, by buckets.
    Histogram,
}

impl Kind {
    fn of_metric(self) -> (MetricType, Option<Unit>) {
        match self {
            Self::Gauge => (MetricType::Gauge, None),
            Self::Seconds => (MetricType::Gauge, Some(Unit::Seconds)),
            Self::Bytes => (MetricType::Gauge, Some(Unit::Bytes)),
            Self::Counter => (MetricType::Counter, None),
            Self::SecondCounter => (MetricType::Counter, Some(Unit::Seconds)),
            Self::ByteCounter => (MetricType::Counter, Some(Unit::Bytes)),
            Self::Histogram => (MetricType::Histogram, Some(Unit::Seconds)),
        }
    }
}

/// What is told under some labels.
#[derive(Clone, Debug)]
pub(super) enum Sample {
    Number(f64),
    Histogram { sum: f64, count: u64, buckets: Vec<(f64, u64)> },
}

#[derive(Debug)]
struct Family {
    help: Cow<'static, str>,
    kind: Kind,
    samples: BTreeMap<Labels, Sample>,
}

/// A page. Every name on it begins with `slackwater_`.
#[derive(Debug, Default)]
pub(super) struct Page(BTreeMap<String, Family>);

impl Page {
    /// Adds a number to a family.
    pub fn put(&mut self, family: (&'static str, &'static str, Kind), labels: Labels, number: f64) {
        self.put_sample(family, labels, Sample::Number(number));
    }

    /// Adds a sample to a family.
    pub fn put_sample(
        &mut self,
        (name, help, kind): (&'static str, &'static str, Kind),
        labels: Labels,
        sample: Sample,
    ) {
        self.add(format!("slackwater_{name}"), (help.into(), kind), labels, sample);
    }

    /// Adds what a program counts, under a name that it has given.
    pub fn put_declared(&mut self, name: &str, labels: Labels, number: f64) {
        let help = format!("{name:?}, as the program counts it");
        let name = format!("slackwater_user_{}", plain(name));
        self.add(name, (help.into(), Kind::Counter), labels, Sample::Number(number));
    }

    fn add(
        &mut self,
        name: String,
        (help, kind): (Cow<'static, str>, Kind),
        labels: Labels,
        sample: Sample,
    ) {
        let fresh = || Family { help, kind, samples: BTreeMap::new() };
        let family = self.0.entry(name).or_insert_with(fresh);
        match (family.samples.get_mut(&labels), sample) {
            // Two names of a program that read alike here count together.
            (Some(Sample::Number(known)), Sample::Number(more)) => *known += more,
            (_, sample) => drop(family.samples.insert(labels, sample)),
        }
    }

    /// As it is read.
    pub fn text(self, format: Format) -> Result<String, fmt::Error> {
        let is_counter = |family: &Family| matches!(family.kind.of_metric().0, MetricType::Counter);
        let counters = self.0.iter().filter(|(_, family)| is_counter(family));
        let unit = |family: &Family| family.kind.of_metric().1;
        let whole = |(name, family): (&String, &Family)| match unit(family) {
            Some(unit) => format!("{name}_{}", unit.as_str()),
            None => name.clone(),
        };
        let counters: BTreeSet<String> = counters.map(whole).collect();
        let mut registry = Registry::default();
        registry.register_collector(Box::new(self));
        let mut text = String::new();
        text::encode(&mut text, &registry)?;
        Ok(match format {
            Format::OpenMetrics => text,
            Format::Classic => classic(&text, &counters),
        })
    }
}

/// The same page in the older format, which knows no units and no end, and names a counter as its
/// samples are named.
fn classic(text: &str, counters: &BTreeSet<String>) -> String {
    let mut page = String::with_capacity(text.len());
    for line in text.lines() {
        let mut words = line.splitn(4, ' ');
        match (words.next(), words.next(), words.next(), words.next()) {
            (Some("#"), Some("UNIT" | "EOF"), ..) => continue,
            (Some("#"), Some(what), Some(name), Some(rest)) if counters.contains(name) => {
                page.extend(["# ", what, " ", name, "_total ", rest]);
            }
            _ => page.push_str(line),
        }
        page.push('\n');
    }
    page
}

/// A name without what Prometheus does not take, and without the end that it gives counters itself.
fn plain(name: &str) -> String {
    let fits = |letter: char| letter.is_ascii_alphanumeric() || letter == '_';
    let plain: String = name.chars().map(|own| if fits(own) { own } else { '_' }).collect();
    plain.strip_suffix("_total").map(str::to_owned).unwrap_or(plain)
}

impl Collector for Page {
    fn encode(&self, mut encoder: DescriptorEncoder<'_>) -> Result<(), fmt::Error> {
        for (name, Family { help, kind, samples }) in &self.0 {
            let (of_metric, unit) = kind.of_metric();
            let help = format!("{help}.");
            let mut family = encoder.encode_descriptor(name, &help, unit.as_ref(), of_metric)?;
            for (labels, sample) in samples {
                let mut encoder = family.encode_family(labels)?;
                match (sample, of_metric) {
                    (Sample::Histogram { sum, count, buckets }, _) => {
                        encoder.encode_histogram::<NoLabelSet>(*sum, *count, buckets, None)?;
                    }
                    (Sample::Number(number), MetricType::Counter) => {
                        encoder.encode_counter::<NoLabelSet, f64, f64>(number, None)?;
                    }
                    (Sample::Number(number), _) => encoder.encode_gauge(number)?,
                }
            }
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_page_has_each_family_once_with_help_type_and_unit() {
        let mut page = Page::default();
        let own = |n: &str| Labels::default().with("subtask", n).with("vertex", "a \"b\"\\\n");
        let busy = ("task_busy", "Time at work", Kind::SecondCounter);
        page.put(busy, own("1"), 2.5);
        page.put(("task_slots", "Slots", Kind::Gauge), Labels::default(), 2.0);
        page.put(busy, own("0"), 1.0);
        page.put_declared("data points_total", own("0"), 3.0);
        page.put_declared("data.points", own("0"), 4.0);
        let buckets = vec![(0.001, 1), (0.002, 2), (f64::INFINITY, 1)];
        let sample = Sample::Histogram { sum: 0.5, count: 4, buckets };
        page.put_sample(("latency", "How long", Kind::Histogram), Labels::default(), sample);
        let expected = r#"# HELP slackwater_latency_seconds How long.
# TYPE slackwater_latency_seconds histogram
# UNIT slackwater_latency_seconds seconds
slackwater_latency_seconds_sum{} 0.5
slackwater_latency_seconds_count{} 4
slackwater_latency_seconds_bucket{le="0.001"} 1
slackwater_latency_seconds_bucket{le="0.002"} 3
slackwater_latency_seconds_bucket{le="+Inf"} 4
# HELP slackwater_task_busy_seconds Time at work.
# TYPE slackwater_task_busy_seconds counter
# UNIT slackwater_task_busy_seconds seconds
slackwater_task_busy_seconds_total{subtask="0",vertex="a \"b\"\\\n"} 1.0
slackwater_task_busy_seconds_total{subtask="1",vertex="a \"b\"\\\n"} 2.5
# HELP slackwater_task_slots Slots.
# TYPE slackwater_task_slots gauge
slackwater_task_slots{} 2.0
# HELP slackwater_user_data_points "data points_total", as the program counts it.
# TYPE slackwater_user_data_points counter
slackwater_user_data_points_total{subtask="0",vertex="a \"b\"\\\n"} 7.0
# EOF
"#;
        assert_eq!(page.text(Format::OpenMetrics).expect("text"), expected);
    }

    #[test]
    fn the_older_format_names_counters_as_their_samples_and_has_no_end() {
        let mut page = Page::default();
        let busy = ("task_busy", "Time at work", Kind::SecondCounter);
        page.put(busy, Labels::default().with("subtask", "1"), 2.5);
        page.put(("task_slots", "Slots", Kind::Gauge), Labels::default(), 2.0);
        let expected = r#"# HELP slackwater_task_busy_seconds_total Time at work.
# TYPE slackwater_task_busy_seconds_total counter
slackwater_task_busy_seconds_total{subtask="1"} 2.5
# HELP slackwater_task_slots Slots.
# TYPE slackwater_task_slots gauge
slackwater_task_slots{} 2.0
"#;
        assert_eq!(page.text(Format::Classic).expect("text"), expected);
        for (accept, format) in [
            (None, Format::Classic),
            (Some("*/*"), Format::Classic),
            (Some("application/openmetrics-text;version=1.0.0,*/*;q=0.1"), Format::OpenMetrics),
        ] {
            assert_eq!(Format::accepted(accept), format);
        }
    }
}
