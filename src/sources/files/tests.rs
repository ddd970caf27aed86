use std::collections::BTreeMap;
use std::io::Write;
use std::sync::Arc;

use datafusion::arrow::array::{ArrayRef, AsArray, Decimal128Array, Int64Array, StringArray};
use datafusion::arrow::datatypes::{DataType, Decimal128Type, Field, Int64Type, Schema, TimeUnit};
use datafusion::arrow::record_batch::RecordBatch;
use datafusion::parquet::arrow::ArrowWriter;
use object_store::memory::InMemory;
use object_store::path::Path;
use object_store::{ObjectStore, ObjectStoreExt};
use tokio::sync::mpsc;

use super::{FilesSource, Mapping};
use crate::sources::error::SourceError;
use crate::sources::spec::{Decoded, InputFile, TableSpec};

const HEADER: &str = "usage_id,quantity,occurred_at,region\n";

fn usage() -> TableSpec {
    let utc = DataType::Timestamp(TimeUnit::Microsecond, Some("UTC".into()));
    let fields = vec![
        Field::new("source", DataType::Utf8, false),
        Field::new("usage_id", DataType::Utf8, false),
        Field::new("quantity", DataType::Decimal128(38, 12), true),
        Field::new("occurred_at", utc, false),
        Field::new("attributes", DataType::Utf8, true),
        Field::new("usage_date", DataType::Date32, false),
    ];
    TableSpec {
        name: "usage_records".to_owned(),
        schema: Arc::new(Schema::new(fields)),
        key: vec!["source".to_owned(), "usage_id".to_owned()],
    }
}

async fn source(files: &[(&str, &[u8])], mapping: Option<&str>) -> FilesSource {
    let store: Arc<dyn ObjectStore> = Arc::new(InMemory::new());
    for (path, bytes) in files {
        store
            .put(&Path::from(*path), bytes.to_vec().into())
            .await
            .unwrap();
    }
    let mappings: BTreeMap<String, Mapping> = mapping
        .map(|files| Mapping {
            files: Some(files.to_owned()),
            sql: None,
        })
        .map(|mapping| ("usage_records".to_owned(), mapping))
        .into_iter()
        .collect();
    FilesSource::new("acme", store, Path::from("in"), mappings)
}

async fn collect(mut rows: mpsc::Receiver<Result<Decoded, SourceError>>) -> Vec<Decoded> {
    let mut all = Vec::new();
    while let Some(decoded) = rows.recv().await {
        let decoded = decoded.unwrap();
        assert_eq!(
            decoded.rows_read,
            (decoded.batch.num_rows() + decoded.rejects.len()) as u64
        );
        all.push(decoded);
    }
    all
}

async fn only_file(source: &FilesSource) -> InputFile {
    let listing = source.list(&[usage()]).await.unwrap();
    assert_eq!(listing.files.len(), 1);
    listing.files[0].clone()
}

/// Reads the only file of a source, two rows at a time.
async fn read(path: &str, bytes: &[u8]) -> Vec<Decoded> {
    let source = source(&[(path, bytes)], None).await;
    let file = only_file(&source).await;
    let (sink, rows) = mpsc::channel(1);
    let spec = usage();
    let (done, batches) = tokio::join!(source.read(&file, &spec, 2, sink), collect(rows));
    done.unwrap();
    batches
}

fn ids(batches: &[Decoded]) -> Vec<String> {
    let column = |decoded: &Decoded| {
        let ids = decoded.batch.column_by_name("usage_id").unwrap().clone();
        ids.as_string::<i32>()
            .iter()
            .map(|id| id.unwrap().to_owned())
            .collect::<Vec<_>>()
    };
    batches.iter().flat_map(column).collect()
}

#[tokio::test]
async fn files_are_found_by_layout_and_by_pattern() {
    let files: &[(&str, &[u8])] = &[
        ("in/usage_records/2026/b.jsonl.zst", b""),
        ("in/usage_records.csv", b""),
        ("in/usage_records/readme.md", b""),
        ("in/usage_records/_SUCCESS", b""),
        ("in/ledger.csv", b""),
        ("elsewhere/usage_records.csv", b""),
    ];
    let listing = source(files, None).await.list(&[usage()]).await.unwrap();
    let paths: Vec<&str> = listing
        .files
        .iter()
        .map(|file| file.path.as_str())
        .collect();
    assert_eq!(
        paths,
        ["usage_records.csv", "usage_records/2026/b.jsonl.zst"]
    );
    assert_eq!(listing.unknown, ["ledger.csv", "usage_records/readme.md"]);
    assert!(listing.files.iter().all(|file| !file.version.is_empty()));

    let listing = source(files, Some("l*.csv"))
        .await
        .list(&[usage()])
        .await
        .unwrap();
    assert_eq!(listing.files.len(), 1);
    assert_eq!(listing.files[0].path, "ledger.csv");
    let listing = source(files, Some("2027/*.csv"))
        .await
        .list(&[usage()])
        .await
        .unwrap();
    assert_eq!(listing.unmatched, ["usage_records"]);
    let nothing = source(&[("elsewhere/a.csv", b"")], None)
        .await
        .list(&[usage()])
        .await;
    assert!(matches!(nothing, Err(SourceError::Empty { .. })));
}

#[tokio::test]
async fn csv_rejects_name_their_lines_and_the_rest_goes_on() {
    let text = "\u{feff}usage_id,quantity,occurred_at,region\r\n\
                a,1,2026-01-01,eu\r\n\
                b,x,2026-01-01,\r\n\
                c,1\r\n\
                \"d,1,2026-01-01,eu\r\n\
                e,1,2026-01-01,\r\n";
    let batches = read("in/usage_records.csv", text.as_bytes()).await;
    assert_eq!(ids(&batches), ["a", "e"]);
    let rejects: Vec<_> = batches
        .iter()
        .flat_map(|decoded| &decoded.rejects)
        .collect();
    let codes: Vec<(&str, &str, &str)> = rejects
        .iter()
        .map(|r| (r.origin.as_str(), r.reason_code.as_str(), r.raw.as_str()))
        .collect();
    assert_eq!(
        codes,
        [
            ("usage_records.csv:3", "bad_number", "b,x,2026-01-01,"),
            ("usage_records.csv:4", "bad_row", "c,1"),
            ("usage_records.csv:5", "bad_row", "\"d,1,2026-01-01,eu"),
        ]
    );
    assert_eq!(
        batches.iter().map(|decoded| decoded.rows_read).sum::<u64>(),
        5
    );
    let attributes = batches[0]
        .batch
        .column_by_name("attributes")
        .unwrap()
        .clone();
    assert_eq!(attributes.as_string::<i32>().value(0), r#"{"region":"eu"}"#);
}

#[tokio::test]
async fn packed_text_reads_like_plain_text() {
    let text = format!("{HEADER}a,1.5,2026-01-01,\nb,2,2026-01-01,\nc,3,2026-01-01,\n");
    let plain = read("in/usage_records.csv", text.as_bytes()).await;
    let mut gzip = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
    gzip.write_all(text.as_bytes()).unwrap();
    let gzip = read("in/usage_records.csv.gz", &gzip.finish().unwrap()).await;
    let zstd = zstd::stream::encode_all(text.as_bytes(), 1).unwrap();
    let zstd = read("in/usage_records.csv.zst", &zstd).await;
    assert_eq!(ids(&plain), ["a", "b", "c"]);
    for packed in [gzip, zstd] {
        assert_eq!(packed.len(), plain.len());
        for (packed, plain) in packed.iter().zip(&plain) {
            assert_eq!(packed.batch, plain.batch);
        }
    }
}

#[tokio::test]
async fn json_lines_keep_the_types_of_what_no_column_holds() {
    let text = "{\"usage_id\":\"a\",\"quantity\":0.10,\"occurred_at\":\"2026-01-01\",\"n\":5,\"s\":\"5\"}\n\
                {oops\n\n\
                {\"usage_id\":7,\"quantity\":null,\"occurred_at\":\"2026-01-01\",\"attributes\":{\"k\":1}}\n";
    let batches = read("in/usage_records/x.jsonl", text.as_bytes()).await;
    assert_eq!(ids(&batches), ["a", "7"]);
    let quantity = batches[0].batch.column(2).as_primitive::<Decimal128Type>();
    assert_eq!(quantity.value(0), 100_000_000_000);
    let attributes: Vec<String> = batches
        .iter()
        .flat_map(|decoded| {
            let column = decoded.batch.column(4).as_string::<i32>();
            column
                .iter()
                .flatten()
                .map(str::to_owned)
                .collect::<Vec<_>>()
        })
        .collect();
    assert_eq!(attributes, [r#"{"n":5,"s":"5"}"#, r#"{"k":1}"#]);
    let rejects: Vec<_> = batches
        .iter()
        .flat_map(|decoded| &decoded.rejects)
        .collect();
    assert_eq!(rejects.len(), 1);
    assert_eq!(rejects[0].origin, "usage_records/x.jsonl:2");
    assert_eq!(
        (rejects[0].reason_code.as_str(), rejects[0].raw.as_str()),
        ("bad_json", "{oops")
    );
}

fn parquet() -> Vec<u8> {
    let ids: ArrayRef = Arc::new(StringArray::from(vec!["a", "b", "c"]));
    let quantity: ArrayRef = Arc::new(
        Decimal128Array::from(vec![150, 250, 350])
            .with_precision_and_scale(10, 2)
            .unwrap(),
    );
    let at: ArrayRef = Arc::new(StringArray::from(vec!["2026-01-01", "never", "2026-01-01"]));
    let batch = RecordBatch::try_from_iter([
        ("usage_id", ids),
        ("quantity", quantity),
        ("occurred_at", at),
    ])
    .unwrap();
    let mut writer = ArrowWriter::try_new(Vec::new(), batch.schema(), None).unwrap();
    writer.write(&batch).unwrap();
    writer.into_inner().unwrap()
}

#[tokio::test]
async fn parquet_rows_are_counted_from_one() {
    let batches = read("in/usage_records.parquet", &parquet()).await;
    assert_eq!(ids(&batches), ["a", "c"]);
    let quantity = batches[0].batch.column(2).as_primitive::<Decimal128Type>();
    assert_eq!(quantity.value(0), 1_500_000_000_000);
    assert_eq!(batches[0].rejects[0].origin, "usage_records.parquet:2");
}

#[tokio::test]
async fn a_broken_file_is_an_error_both_sent_and_returned() {
    let cases: [(&str, &[u8]); 5] = [
        ("in/usage_records.csv.gz", b"this is not gzip"),
        ("in/usage_records.csv.zst", b"this is not zstd"),
        ("in/usage_records.parquet", b"this is not Parquet at all"),
        ("in/usage_records.csv", b""),
        ("in/usage_records.csv", b"a;b\n1;2\n"),
    ];
    for (path, bytes) in cases {
        let source = source(&[(path, bytes)], None).await;
        let file = only_file(&source).await;
        let (sink, mut rows) = mpsc::channel(4);
        let error = source.read(&file, &usage(), 10, sink).await.unwrap_err();
        assert!(error.to_string().contains(&file.path), "{error}");
        let sent = rows.recv().await.unwrap().unwrap_err();
        assert_eq!(sent.to_string(), error.to_string());
        assert!(rows.recv().await.is_none());
    }
}

#[tokio::test]
async fn a_raw_file_is_text_with_places() {
    let text: &[u8] = b"{\"b\":1.50,\"a\":[1]}\nno\n{\"c\":\"x\"}\n";
    let source = source(&[("in/events/1.jsonl", text)], Some("events/**/*.jsonl")).await;
    let file = only_file(&source).await;
    let schema = source.raw_schema(&file).await.unwrap();
    let names: Vec<&str> = schema
        .fields()
        .iter()
        .map(|field| field.name().as_str())
        .collect();
    assert_eq!(names, ["a", "b", "c", "_file", "_line"]);
    let (sink, rows) = mpsc::channel(1);
    let (done, batches) = tokio::join!(source.stream_raw(&file, &schema, 10, sink), collect(rows));
    done.unwrap();
    let decoded = &batches[0];
    assert_eq!((decoded.rows_read, decoded.rejects.len()), (3, 1));
    let cell = |column: usize, row: usize| {
        decoded
            .batch
            .column(column)
            .as_string::<i32>()
            .value(row)
            .to_owned()
    };
    assert_eq!(
        (cell(0, 0), cell(1, 0), cell(2, 1)),
        ("[1]".into(), "1.50".into(), "x".into())
    );
    assert_eq!(cell(3, 0), "events/1.jsonl");
    let lines: &Int64Array = decoded.batch.column(4).as_primitive::<Int64Type>();
    assert_eq!(lines.values(), &[1, 3]);
}

#[tokio::test]
async fn a_raw_parquet_file_keeps_its_types() {
    let bytes = parquet();
    let source = source(&[("in/usage_records.parquet", bytes.as_slice())], None).await;
    let file = only_file(&source).await;
    let schema = source.raw_schema(&file).await.unwrap();
    assert_eq!(schema.field(1).data_type(), &DataType::Decimal128(10, 2));
    let (sink, rows) = mpsc::channel(1);
    let reading = source.stream_raw(&file, &schema, 100, sink);
    let (outcome, decoded) = tokio::join!(reading, collect(rows));
    outcome.unwrap();
    assert_eq!((decoded.len(), decoded[0].rejects.len()), (1, 0));
    let batch = &decoded[0].batch;
    assert_eq!((batch.schema(), batch.num_rows()), (schema, 3));
    let lines: &Int64Array = batch.column(4).as_primitive::<Int64Type>();
    assert_eq!(lines.values(), &[1, 2, 3]);
}
