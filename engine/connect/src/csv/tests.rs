//! The CSV source and sink on real files in a folder of their own.
//! No job and no task: a reader is polled by hand. What is promised stands in [`super`].

use std::sync::Arc;

use slackwater_core::element::Batch;
use slackwater_core::id::{Attempt, CheckpointId, JobId};
use slackwater_core::time::EventTime;
use slackwater_dataflow::connector::{
    Recovery, Sink, SinkWriter, Source, SourceReader, Transaction, TwoPhaseSink, TwoPhaseWriter,
    flush,
};
use slackwater_runtime::host::Host;
use slackwater_runtime::host::real::RealHost;

use super::*;
use crate::testing::{opening, read};

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
struct Line {
    key: String,
    value: i64,
}

/// Reads `text` as a file: the rows, or the refusal without the file's name; and what was skipped.
fn check(text: &[u8], on_bad_record: OnBadRecord, expected: &str) {
    let folder = tempfile::tempdir().expect("a folder");
    let path = folder.path().join("in.csv").display().to_string();
    let host: Arc<dyn Host> =
        Arc::new(RealHost::named("here").expect("randomness").with_neighbours(["db", "log"]));
    host.files().write(&path, text).expect("room");
    let source = source(&*path, |line: &Line| EventTime::from_millis(line.value));
    let mut reader = source.on_bad_record(on_bad_record).open(opening(&host, 0, 1)).expect("opens");
    let mut said = match read(&host, &mut reader, usize::MAX) {
        Ok(rows) => rows
            .into_iter()
            .map(|(_, _, row)| format!("{}:{}={}", row.record, row.value.key, row.value.value))
            .collect::<Vec<_>>()
            .join(" "),
        Err(error) => error.message,
    };
    if let Some((count, cause)) = reader.take_skipped() {
        said += &format!(" | skipped {count}: {cause}");
    }
    assert_eq!(said.replace(&path, "F"), expected);
}

#[test]
fn a_bad_record_is_named_by_line_column_and_expectation() {
    use OnBadRecord::Fail;
    check(b"key,value\na,1\nb,-2\n", Fail, "1:a=1 2:b=-2");
    check(b"more,value,key\nx,1,a\n", Fail, "1:a=1");
    check(b"", Fail, "F: the file is empty, expected a header line");
    let number = "F, line 3, column 2 (\"value\"): expected a whole number (invalid digit found in \
                  string), found \"2x\"";
    check(b"key,value\na,1\nb,2x\n", Fail, number);
    let columns = "F, line 3: expected 2 columns as in the header, found 3";
    check(b"key,value\na,1\nb,2,3\n", Fail, columns);
    check(b"key,val\na,1\n", Fail, "F, line 2: expected a column \"value\" in the header");
    check(b"key,value\na,1\n\xff,2\n", Fail, "F, line 3, column 1: expected UTF-8 text");
}

#[test]
fn skipped_records_are_counted_and_keep_their_numbers() {
    let cause = "F, line 5, column 2 (\"value\"): expected a whole number (cannot parse integer \
                 from empty string), found \"\"";
    let expected = format!("2:b=2 5:e=5 | skipped 3: {cause}");
    let text = b"key,value\na,x\nb,2\nc\nd,\ne,5\n";
    check(text, OnBadRecord::Skip, &expected);
}

#[test]
fn a_file_is_begun_anew_and_appended_to_by_each_flush() {
    let folder = tempfile::tempdir().expect("a folder");
    let path = folder.path().join("out/rows.csv").display().to_string();
    let host = RealHost::named("here").expect("randomness").with_neighbours(["db", "log"]);
    let text = slackwater_runtime::host::real::run(host, |host| async move {
        let sink = sink::<Line>(&*path, ["key", "value"]);
        assert!(sink.open(opening(&host, 0, 2)).is_err(), "two tasks, one file");
        for attempt in 0..2 {
            let mut writer = sink.open(opening(&host, 0, 1)).expect("opens");
            for value in 0..2 {
                let mut batch = Batch::default();
                let line = Line { key: format!("a,{attempt}"), value };
                batch.push(EventTime::from_millis(0), line);
                writer.write(batch).await.expect("encodes");
                assert_eq!(flush(&mut writer).await.expect("room").rows(), 1);
            }
        }
        host.files().read_at(&path, 0, 999).expect("written")
    });
    let text = String::from_utf8(text.expect("a runtime")).expect("text");
    assert_eq!(text, "key,value\n\"a,1\",0\n\"a,1\",1\n");
}

fn row(value: i64) -> Batch<Line> {
    let mut batch = Batch::default();
    batch.push(EventTime::from_millis(0), Line { key: "a".into(), value });
    batch
}

fn nothing<'a>() -> Recovery<'a> {
    Recovery::default()
}

fn listing(listed: &[Transaction]) -> Recovery<'_> {
    Recovery { listed, spared: &[] }
}

fn attempt_of(
    host: &Arc<dyn Host>,
    sink: TransactionalCsv<Line>,
    (job, attempt): (u128, u32),
) -> TransactionalCsvWriter<Line> {
    let mut opening = opening(host, 0, 1);
    (opening.task.job, opening.task.attempt) = (JobId(job), Attempt(attempt));
    sink.open(opening).expect("opens")
}

/// Writes a row of each value, and prepares them.
async fn prepared(
    writer: &mut TransactionalCsvWriter<Line>,
    checkpoint: u64,
    values: &[i64],
) -> Transaction {
    for value in values {
        writer.write(row(*value)).await.expect("encodes");
    }
    writer.prepare(CheckpointId(checkpoint)).await.expect("room").expect("a place")
}

#[test]
fn a_savepoints_rows_can_be_asked_for_by_any_number_of_jobs_whatever_its_own_did_since() {
    let folder = tempfile::tempdir().expect("a folder");
    let path = folder.path().join("rows.csv").display().to_string();
    let host = RealHost::named("here").expect("randomness").with_neighbours(["db", "log"]);
    slackwater_runtime::host::real::run(host, |host| async move {
        let text = || {
            let bytes = host.files().read_at(&path, 0, 999).expect("written");
            String::from_utf8(bytes).expect("text").replace("key,value\n", "|").replace("a,", "")
        };
        let text = || text().replace('\n', " ");
        let sink = || sink::<Line>(&*path, ["key", "value"]).two_phase();
        let attempt = |job, attempt| attempt_of(&host, sink(), (job, attempt));
        let mut first = attempt(1, 1);
        first.recover(nothing()).await.expect("begins");
        let one = prepared(&mut first, 1, &[1]).await;
        first.commit(std::slice::from_ref(&one)).await.expect("room");
        // Savepoint 2 is complete; before anything is committed, the attempt dies.
        let two = prepared(&mut first, 2, &[2, 3]).await;
        let spared = [CheckpointId(2)];
        let mut second = attempt(1, 2);
        let recovery = Recovery { listed: std::slice::from_ref(&one), spared: &spared };
        second.recover(recovery).await.expect("the same job");
        let three = prepared(&mut second, 3, &[20, 30, 40]).await;
        second.commit(&[three]).await.expect("room");
        // Savepoint 4 holds nothing new.
        let four = prepared(&mut second, 4, &[]).await;
        assert_eq!((text(), four.rows), ("|1 20 30 40 ".into(), 0));

        for job in 2..4 {
            let mut resumed = attempt(job, 1);
            resumed.recover(listing(std::slice::from_ref(&two))).await.expect("all is there");
            resumed.commit(std::slice::from_ref(&two)).await.expect("room");
            assert_eq!(text(), "|1 2 3 ", "as it was at the savepoint");
            let own = prepared(&mut resumed, 5, &[20]).await;
            resumed.commit(&[own]).await.expect("room");
            assert_eq!(text(), "|1 2 3 20 ");
            // Its first checkpoint was lost: from the savepoint once more.
            let mut again = attempt(job, 2);
            again.recover(listing(std::slice::from_ref(&two))).await.expect("all is there");
            again.commit(std::slice::from_ref(&two)).await.expect("room");
            let own = prepared(&mut again, 6, &[21]).await;
            again.commit(&[own]).await.expect("room");
            assert_eq!(text(), "|1 2 3 21 ");
        }
        let mut newer = attempt(4, 1);
        newer.recover(listing(std::slice::from_ref(&four))).await.expect("all is there");
        newer.commit(std::slice::from_ref(&four)).await.expect("room");
        assert_eq!(text(), "|1 20 30 40 ");
        let mut fresh = attempt(5, 1);
        fresh.recover(nothing()).await.expect("anew");
        assert_eq!(text(), "|");
        let mut late = attempt(6, 1);
        let foreign = Transaction { id: format!("{:032x}/sink@10-10", 9), ..four };
        let refused = late.recover(listing(&[foreign])).await.expect_err("nobody has its rows");
        assert!(refused.message.contains("prepared rows are lost"), "{refused}");
    })
    .expect("a runtime");
}

#[test]
fn in_transactions_a_row_stands_once_over_restarts_and_torn_appends() {
    let folder = tempfile::tempdir().expect("a folder");
    let path = folder.path().join("out/rows.csv").display().to_string();
    let host = RealHost::named("here").expect("randomness").with_neighbours(["db", "log"]);
    slackwater_runtime::host::real::run(host, |host| async move {
        let files = host.files();
        let text = || {
            let bytes = files.read_at(&path, 0, 999).expect("written");
            String::from_utf8(bytes).expect("text").replace("key,value\n", "|").replace('\n', " ")
        };
        let sink = || sink::<Line>(&*path, ["key", "value"]).two_phase();
        assert!(sink().open(opening(&host, 0, 2)).is_err(), "two tasks, one file");
        let attempt = |job, attempt| attempt_of(&host, sink(), (job, attempt));
        let mut first = attempt(1, 1);
        first.recover(nothing()).await.expect("begins");
        let zero = first.prepare(CheckpointId(1)).await.expect("nothing").expect("a place");
        assert_eq!(zero.rows, 0);
        first.write(row(1)).await.expect("encodes");
        let one = first.prepare(CheckpointId(2)).await.expect("room").expect("a row");
        assert_eq!((text(), one.rows), ("|".into(), 1));
        first.commit(std::slice::from_ref(&one)).await.expect("room");
        first.write(row(2)).await.expect("encodes");
        let two = first.prepare(CheckpointId(3)).await.expect("room").expect("a row");
        first.write(row(9)).await.expect("encodes");
        first.prepare(CheckpointId(4)).await.expect("room").expect("a row that nobody lists");
        assert_eq!(text(), "|a,1 ");

        // The checkpoint lists both; the commit of the second was torn.
        files.append(&path, b"a").expect("room");
        let mut heir = attempt(1, 2);
        heir.recover(listing(&[one.clone(), two.clone()])).await.expect("the same job");
        heir.commit(&[one, two]).await.expect("room");
        assert_eq!(text(), "|a,1 a,2 ");
        heir.write(row(3)).await.expect("encodes");
        let three = heir.prepare(CheckpointId(5)).await.expect("room").expect("a row");
        heir.commit(std::slice::from_ref(&three)).await.expect("room");

        // A checkpoint that lists nothing: everything that it holds is visible.
        let mut last = attempt(1, 3);
        last.recover(nothing()).await.expect("the same job");
        last.write(row(4)).await.expect("encodes");
        let four = last.prepare(CheckpointId(6)).await.expect("room").expect("a row");
        last.commit(&[three, four]).await.expect("room");
        assert_eq!(text(), "|a,1 a,2 a,3 a,4 ");

        let mut other = attempt(2, 1);
        other.recover(nothing()).await.expect("another job");
        assert_eq!(text(), "|");
    })
    .expect("a runtime");
}
