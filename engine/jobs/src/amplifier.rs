//! The walkthrough's control stream: each reading times the last amplitude that was told for its
//! sensor, 0 until one was. Amplitudes are lines of a socket, such as `pressure 2`; what a line has
//! set is state by key and never a setting. Made part of a job by [`crate::oscon`].

use slackwater::prelude::*;

use crate::oscon::Reading;
use crate::survival::Contract;

/// What a line of the control socket says.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Control {
    /// Which sensor.
    pub key: String,
    /// What its readings are multiplied with from then on.
    pub amplitude: f64,
}

impl Control {
    /// Reads a line of two words, the sensor and its amplitude.
    ///
    /// # Errors
    /// What was expected.
    pub fn read(line: &str) -> Result<Self, String> {
        let words: Vec<&str> = line.split_whitespace().collect();
        let [key, amplitude] = words[..] else {
            return Err("expected a sensor and its amplitude, such as \"pressure 2\"".to_owned());
        };
        match amplitude.parse() {
            Ok(amplitude) if f64::is_finite(amplitude) => {
                Ok(Self { key: key.to_owned(), amplitude })
            }
            _ => Err(format!("{amplitude:?} is no amplitude: expected a number such as 2 or 0.5")),
        }
    }
}

/// Each reading times the last amplitude of its sensor.
#[derive(Clone, Debug)]
pub struct Amplifier;

impl KeyedCoProcess<Reading, Control> for Amplifier {
    type State = f64;
    type Out = Reading;

    fn init(&self) -> f64 {
        0.0
    }

    fn left(&mut self, reading: Reading, cx: &mut KeyedContext<'_, f64, Reading>) {
        let value = reading.value * *cx.state;
        cx.emit(Reading { value, ..reading });
    }

    fn right(&mut self, control: Control, cx: &mut KeyedContext<'_, f64, Reading>) {
        *cx.state = control.amplitude;
    }
}

/// The readings, amplified as the server at the setting `control` says, in the series
/// `amplifiedSensors`; nothing of it is part of the job if that is not set.
pub(crate) fn amplify(
    env: &Env,
    settings: &mut Settings,
    sensors: &Stream<Reading>,
    (contract, db, tag): (Contract, &str, &str),
    parallelism: u32,
) -> Result<(), PlanError> {
    let address = settings.take("control", String::new())?;
    if address.is_empty() {
        return Ok(());
    }
    // Nobody's event time waits for the next line.
    let watermarks = Watermarks::ascending().idle_after(ms(0));
    let control = env.source("control", socket::lines(address, Control::read), watermarks);
    let amplified = sensors
        .key_by(|reading| reading.key.clone())
        .connect(&control.key_by(|control| control.key.clone()))
        .process("amplifier", Amplifier)
        .parallelism(parallelism);
    let points = series::sink(|reading: &Reading| reading.point("amplifiedSensors"));
    contract
        .write(&amplified, "amplified-sensors-sink", points.at(db).tagged(tag))
        .parallelism(parallelism);
    Ok(())
}

#[cfg(test)]
mod tests {
    use slackwater::dataflow::harness::CoHarness;

    use super::*;

    #[test]
    fn a_line_is_a_sensor_and_an_amplitude() {
        let control = |key: &str, amplitude| Ok(Control { key: key.to_owned(), amplitude });
        assert_eq!(Control::read("pressure 2"), control("pressure", 2.0));
        assert_eq!(Control::read("  door\t-0.5 "), control("door", -0.5));
        for (line, why) in [
            ("pressure", "expected a sensor and its amplitude, such as \"pressure 2\""),
            ("pressure 2 3", "expected a sensor and its amplitude, such as \"pressure 2\""),
            ("pressure two", "\"two\" is no amplitude: expected a number such as 2 or 0.5"),
            ("pressure NaN", "\"NaN\" is no amplitude: expected a number such as 2 or 0.5"),
            ("pressure inf", "\"inf\" is no amplitude: expected a number such as 2 or 0.5"),
        ] {
            assert_eq!(Control::read(line), Err(why.to_owned()), "{line}");
        }
    }

    #[test]
    fn a_reading_is_amplified_as_was_last_told_for_its_sensor_also_after_a_restart() {
        let mut h = CoHarness::new(|readings: Stream<Reading>, control: Stream<Control>| {
            let control = control.key_by(|control: &Control| control.key.clone());
            readings.key_by(|reading| reading.key.clone()).connect(&control).process("a", Amplifier)
        });
        let reading = |key: &str, value| {
            let at = EventTime::from_millis(7);
            Reading { key: key.to_owned(), at, value }
        };
        let tell = |line: &str| Control::read(line).expect("a line");
        h.left().element(7, reading("door", 1.0));
        h.right().element(8, tell("door 3")).element(8, tell("temp -1"));
        h.left().element(9, reading("door", 1.0));
        h.snapshot_and_restore();
        h.left().element(9, reading("temp", 0.5)).element(9, reading("pressure", 1.0));
        h.rescale(4).right().element(10, tell("door 0"));
        h.left().element(11, reading("door", 1.0)).element(12, reading("temp", 1.0));
        let seen: Vec<f64> = h.output().into_iter().map(|reading| reading.value).collect();
        assert_eq!(seen, [0.0, 3.0, -0.5, 0.0, 0.0, -1.0]);
    }
}
