//! Answers as texts, so that a difference can be read.

use std::fmt::Write as _;

use arrow::array::RecordBatch;
use arrow::util::display::{ArrayFormatter, FormatOptions};
use hindcast_query::{Engine, HistogramQuery, Limits, TopQuery};

use super::draw::Question;

/// What an engine answers.
pub(super) async fn answer(engine: &Engine, question: &Question) -> String {
    match question {
        Question::Events(query) => match engine.events(query.clone()).await {
            Ok(stream) => match stream.collect_all().await {
                Ok((records, cut, cursor)) => {
                    let cut = cut.map(|cut| (cut.reason, cut.n_rows));
                    format!("{cut:?} {:?}\n{}", cursor.map(|cursor| cursor.to_string()), texts(&[records]))
                }
                Err(error) => format!("broken off: {error:?}"),
            },
            Err(error) => format!("refused: {error}"),
        },
        Question::Count(table, filter, range, weight) => {
            format!("{:?}", engine.count(*table, filter.clone(), *range, *weight, limits()).await.map_err(said))
        }
        Question::Histogram(table, filter, range, buckets, by, weight) => {
            let query = HistogramQuery {
                table: *table,
                filter: filter.clone(),
                range: *range,
                buckets: *buckets,
                by: *by,
                weight: *weight,
                limits: limits(),
            };
            format!("{:?}", engine.histogram(query).await.map_err(said))
        }
        Question::Top(table, column, filter, range, count, weight) => {
            let query = TopQuery {
                table: *table,
                column,
                filter: filter.clone(),
                range: *range,
                count: *count,
                weight: *weight,
                limits: limits(),
            };
            format!("{:?}", engine.top(query).await.map_err(said))
        }
        Question::Distinct(table, column, prefix, range) => {
            format!("{:?}", engine.distinct(*table, column, prefix, 50, *range, limits()).await.map_err(said))
        }
        Question::Edges(filter, range) => match engine.edges(*range, filter.clone(), limits()).await {
            Ok(edges) => format!("{:?}\n{}", edges.cut, texts(&[edges.records])),
            Err(error) => said(error),
        },
        Question::Sql(text) => match engine.sql(text, limits()).await {
            Ok(stream) => match stream.collect_all().await {
                Ok((batches, cut)) => format!("{cut:?}\n{}", texts(&batches)),
                Err(error) => format!("broken off: {error:?}"),
            },
            Err(error) => format!("refused: {error}"),
        },
    }
}

fn limits() -> Limits {
    Limits::default()
}

fn said(error: hindcast_query::QueryError) -> String {
    format!("{error:?}")
}

fn texts(batches: &[RecordBatch]) -> String {
    let mut out = String::new();
    for records in batches {
        let options = FormatOptions::default().with_null("∅");
        let columns = records.columns().iter().map(|column| ArrayFormatter::try_new(column, &options).unwrap());
        let columns = columns.collect::<Vec<_>>();
        let schema = records.schema();
        for row in 0..records.num_rows() {
            for (field, column) in schema.fields().iter().zip(&columns) {
                let value = column.value(row).to_string();
                if value != "∅" {
                    write!(out, "{}={value} ", field.name()).unwrap();
                }
            }
            out.push('\n');
        }
    }
    out
}
