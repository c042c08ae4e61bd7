//! The InfluxDB sink's decisions, without a server: lines, answers, what comes next.
//! No socket is opened here, and no clock is read: times are handed in.
//! What they promise stands in [`super`].

use slackwater_core::point::{FieldValue, Point};
use slackwater_core::random::RandomStream;
use slackwater_core::time::EventTime;

use super::answer::Verdict;
use super::delivery::{Delivery, Next};
use super::line::{Lines, lines};
use super::*;

fn point<const N: usize>(series: &str, key: &str, fields: [(&str, FieldValue); N]) -> Point {
    Point::new(series, key, EventTime::from_millis(1_500), fields)
}

fn text(points: &[Point]) -> Result<String, String> {
    let pieces = lines(points)?;
    Ok(pieces.iter().map(|piece| String::from_utf8_lossy(&piece.text)).collect())
}

#[test]
fn a_point_is_one_line_with_what_must_be_escaped() {
    let check = |point: Point, line: &str| assert_eq!(text(&[point]), Ok(format!("{line}\n")));
    check(point("sensors", "temp", [("value", 0.1.into())]), "sensors,key=temp value=0.1 1500");
    check(point("s", "", [("v", (-3.0).into())]), "s v=-3 1500");
    let fields = [("b", FieldValue::Integer(7)), ("a", "say \"x\" \\ y".into())];
    check(
        point("a b,c", "x=y, z", fields),
        r#"a\ b\,c,key=x\=y\,\ z a="say \"x\" \\ y",b=7i 1500"#,
    );
}

#[test]
fn what_influxdb_would_not_keep_as_it_is_is_refused_by_name() {
    let check = |point: Point, words: &str| {
        let refused = text(std::slice::from_ref(&point)).expect_err("refused");
        assert!(
            refused.starts_with(&format!("point {point} ")) && refused.contains(words),
            "{refused}"
        );
    };
    let value = |value: f64| [("value", value.into())];
    check(point("s", "k", value(f64::NAN)), "\"value\" that is not a finite number");
    check(point("s", "k", value(f64::NEG_INFINITY)), "\"value\" that is not a finite number");
    check(point("s", "a\\b", value(1.0)), r"has '\\' in its key");
    check(point("a\nb", "k", value(1.0)), r"has '\n' in its series");
    check(point("#s", "k", value(1.0)), "takes for no name");
    check(point("s", "k", []), "has no field");
    check(point("s", "k", [("time", 1.0.into())]), "has another use for that name");
    let late =
        Point { time: EventTime::from_millis(9_300_000_000_000), ..point("s", "k", value(1.0)) };
    check(late, "is of a time that InfluxDB does not have");
}

#[test]
fn lines_are_parted_before_a_request_grows_too_long_and_stay_in_order() {
    let long = "x".repeat(BODY_MAX / 3);
    let points: Vec<_> =
        (0..5).map(|n| point(&format!("s{n}"), "k", [("t", long.as_str().into())])).collect();
    let pieces = lines(&points).expect("short enough");
    assert_eq!(pieces.iter().map(|piece| piece.count).collect::<Vec<_>>(), [2, 2, 1]);
    assert!(pieces.iter().all(|piece| piece.text.len() <= BODY_MAX));
    assert!(pieces[1].text.starts_with(b"s2,"));
    let longer = point("s", "k", [("t", "x".repeat(BODY_MAX).as_str().into())]);
    assert!(lines(&[longer]).is_err());
}

#[test]
fn an_address_of_the_web_is_a_database_or_says_why_not() {
    let check = |address: &str, expected: Result<(&str, &str), &str>| {
        let read = Target::read(address).expect("of the web");
        match (read, expected) {
            (Ok(target), Ok(expected)) => {
                assert_eq!((&*target.address, &*target.database), expected)
            }
            (Err(words), Err(why)) => assert!(words.contains(why), "{words}"),
            (other, expected) => panic!("{address}: {other:?}, expected {expected:?}"),
        }
    };
    check("http://127.0.0.1:8086/oscon", Ok(("127.0.0.1:8086", "oscon")));
    check("http://db/oscon/", Ok(("db:8086", "oscon")));
    check("http://[::1]:9/x", Ok(("[::1]:9", "x")));
    check("https://db/oscon", Err("http is spoken here"));
    check("http://db", Err("the name of a database"));
    check("http://db/a/b", Err("letters, digits"));
    check("http://db/a?q=1", Err("and nothing more"));
    check("http://me:secret@db/a", Err("http://…@db/a\": a user and a password"));
}

fn some(count: u64) -> Lines {
    let text: String = (0..count).map(|n| format!("s,key=k{n} value=1 {n}\n")).collect();
    Lines { text: text.into(), count }
}

#[test]
fn answers_mean_kept_again_or_refused_with_the_line() {
    let lines = some(3);
    let check = |status, body: &str, expected: &str| {
        let verdict = answer::to_write(status, body.as_bytes(), &lines);
        assert!(format!("{verdict:?}").starts_with(expected), "{verdict:?}");
    };
    check(204, "", "Done");
    check(404, r#"{"error":"database not found: \"nodb\""}"#, "NoDatabase");
    check(500, r#"{"error":"timeout"}"#, r#"Again("it answered 500: timeout"#);
    check(503, "", r#"Again("it answered 503"#);
    check(401, r#"{"error":"x"}"#, r#"Refused("it wants a user and a password (401: x)"#);
    check(413, "", r#"Refused("the request is too long"#);
    check(404, "404 page not found\n", r#"Refused("it answered 404: 404 page not found"#);
    check(200, "", r#"Refused("it answered 200: expected an InfluxDB 1.x"#);
    let parse = "partial write: unable to parse 's,key=k1 value=1 1': invalid number dropped=0";
    let body = format!(r#"{{"error":"{parse}"}}"#);
    check(400, &body, &format!("Refused(\"{parse} (line 2 of 3: s,key=k1 value=1 1)"));
    let conflict = r#"{"error":"partial write: field type conflict: input field \"value\" on measurement \"s\" is type float dropped=1"}"#;
    let refused = answer::to_write(400, conflict.as_bytes(), &lines);
    assert!(
        matches!(&refused, Verdict::Refused(why) if why.contains("line 1 of 3")),
        "{refused:?}"
    );
    assert_eq!(answer::to_create(200, br#"{"results":[{"statement_id":0}]}"#), Verdict::Done);
    let no = br#"{"results":[{"statement_id":0,"error":"invalid name"}]}"#;
    let refused = answer::to_create(200, no);
    assert!(matches!(&refused, Verdict::Refused(why) if why.contains("invalid name")));
}

fn delivery() -> (Delivery, RandomStream) {
    let target = Target { address: "db:8086".into(), database: "oscon".into() };
    (Delivery::to(target), RandomStream::named(7, "influx"))
}

const AT: fn(u64) -> Duration = Duration::from_millis;

#[test]
fn the_database_is_created_first_and_lines_leave_in_order() {
    let (mut delivery, mut random) = delivery();
    delivery.add(vec![some(2), some(3)]);
    let mut next = |delivery: &mut Delivery| {
        let next = delivery.next(AT(0));
        delivery.became(Verdict::Done, AT(0), &mut random).expect("goes on");
        next
    };
    assert_eq!(next(&mut delivery), Next::Create);
    assert_eq!(next(&mut delivery), Next::Write(some(2)));
    assert_eq!(next(&mut delivery), Next::Write(some(3)));
    assert_eq!(delivery.next(AT(0)), Next::Nothing);
    assert_eq!((delivery.take_confirmed(), delivery.take_confirmed()), (5, 0));
}

#[test]
fn pauses_double_up_to_a_bound_and_after_half_a_minute_the_task_fails() {
    let (mut delivery, mut random) = delivery();
    delivery.add(vec![some(1)]);
    let (mut now, mut pauses) = (Duration::ZERO, Vec::new());
    let error = loop {
        if let Err(error) = delivery.became(Verdict::Again("refused".into()), now, &mut random) {
            break error;
        }
        let Next::Pause(pause) = delivery.next(now) else { panic!("no pause after a failure") };
        pauses.push(pause);
        now += pause;
        assert_eq!(delivery.next(now), Next::Create, "what has failed is tried again");
    };
    for (tries, pause) in pauses.iter().enumerate() {
        let longest = AT(100 << tries.min(10)).min(AT(5_000));
        assert!(*pause >= longest / 2 && *pause <= longest, "pause {tries} is {pause:?}");
    }
    assert!(now >= RETRY_FOR && now < RETRY_FOR + AT(5_000), "{now:?}");
    assert!(!error.fatal);
    let words = "http://db:8086/oscon: refused; tried ";
    assert!(error.message.starts_with(words), "{error}");
}

#[test]
fn success_ends_the_trouble_and_the_lines_are_sent_once_more() {
    let (mut delivery, mut random) = delivery();
    delivery.add(vec![some(4)]);
    delivery.became(Verdict::Done, AT(0), &mut random).expect("created");
    delivery.became(Verdict::Again("lost".into()), AT(10), &mut random).expect("tried again");
    assert_eq!(delivery.next(AT(200)), Next::Write(some(4)));
    assert_eq!(delivery.take_confirmed(), 0);
    delivery.became(Verdict::Done, AT(200), &mut random).expect("kept");
    assert_eq!((delivery.next(AT(200)), delivery.take_confirmed()), (Next::Nothing, 4));
    delivery.add(vec![some(1)]);
    delivery.became(Verdict::Again("lost".into()), AT(99_000), &mut random).expect("new trouble");
}

#[test]
fn a_refusal_is_fatal_and_a_dropped_database_is_told_to_the_next_attempt() {
    let (mut delivery, mut random) = delivery();
    delivery.became(Verdict::Done, AT(0), &mut random).expect("created");
    let refused = delivery.became(Verdict::Refused("no".into()), AT(0), &mut random);
    let refused = refused.expect_err("fatal");
    assert_eq!((refused.fatal, &*refused.message), (true, "http://db:8086/oscon: no"));
    let gone = delivery.became(Verdict::NoDatabase, AT(0), &mut random).expect_err("gone");
    let words = "http://db:8086/oscon: there is no database \"oscon\" any more";
    assert_eq!((gone.fatal, &*gone.message), (false, words));
}
