//! The CSV source and sink on real files in a folder of their own.
//! No job and no task: a reader is polled by hand. What is promised stands in [`super`].

use std::sync::Arc;

use slackwater_core::element::Batch;
use slackwater_core::time::EventTime;
use slackwater_dataflow::connector::{Sink, SinkWriter, Source, SourceReader, flush};
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
    let host: Arc<dyn Host> = Arc::new(RealHost::named("here").expect("randomness"));
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
    let host = RealHost::named("here").expect("randomness");
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
