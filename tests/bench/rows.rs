//! The rows that both sides are measured on: Parquet files and JSON lines of one generated recording.

use std::fs::File;
use std::io::{BufWriter, Write as _};
use std::path::{Path, PathBuf};
use std::time::Duration;

use anyhow::{Context as _, Result};
use arrow::array::RecordBatch;
use hindcast_cli::generate::{Recipe, Shape, Traffic, columns, json};
use hindcast_model::tables::flows;
use hindcast_model::{SchemaError, Timestamp};
use parquet::arrow::ArrowWriter;
use parquet::arrow::arrow_reader::ParquetRecordBatchReaderBuilder;
use parquet::basic::{Compression, ZstdLevel};
use parquet::file::properties::WriterProperties;

/// The first instant: a full hour, so that a day is 24 whole ones.
pub(crate) const START_SECONDS: i64 = 1_780_002_000;
const HOURS: u64 = 24;
const ROWS_PER_FILE: u64 = 1_000_000;
const ROWS_PER_BATCH: u64 = 65_536;

/// One generated recording.
#[derive(Debug)]
pub(crate) struct Rows {
    pub(crate) n_rows: u64,
    pub(crate) n_json_rows: u64,
    pub(crate) parquet: Vec<PathBuf>,
    pub(crate) json: PathBuf,
    /// A pod that was denied something, to look for.
    pub(crate) needle_pod: String,
    folder: PathBuf,
}

pub(crate) fn recipe(seed: u64, n_flows: u64) -> Recipe {
    Recipe {
        seed,
        start: Timestamp::from_nanos(START_SECONDS * 1_000_000_000),
        duration: Duration::from_secs(HOURS * 3600),
        n_flows,
        shape: Shape::BENCH,
        has_uuids: false,
    }
}

impl Rows {
    /// Makes the recording in that folder; rows made by an earlier run with the same numbers are used again.
    pub(crate) fn make(folder: &Path, seed: u64, n_rows: u64, n_json_rows: u64) -> Result<Self> {
        let folder = folder.join(format!("rows-{n_rows}-{seed}"));
        std::fs::create_dir_all(&folder)?;
        let n_files = n_rows.div_ceil(ROWS_PER_FILE);
        let rows = Self {
            n_rows,
            n_json_rows,
            parquet: (0..n_files).map(|number| folder.join(format!("flows-{number:03}.parquet"))).collect(),
            json: folder.join(format!("flows-{n_json_rows}.jsonl")),
            needle_pod: needle_pod(&recipe(seed, n_rows))?,
            folder,
        };
        let mark = rows.folder.join(format!("complete-{n_json_rows}"));
        if !mark.is_file() {
            rows.write(seed)?;
            File::create(mark)?;
        }
        Ok(rows)
    }

    /// A pattern that names all Parquet files.
    pub(crate) fn parquet_glob(&self) -> String {
        self.folder.join("flows-*.parquet").display().to_string()
    }

    fn write(&self, seed: u64) -> Result<()> {
        let recipe = recipe(seed, self.n_rows);
        let fleet = recipe.fleet();
        let mut traffic = Traffic::new(&recipe, &fleet);
        for path in &self.parquet {
            let properties = WriterProperties::builder()
                .set_compression(Compression::ZSTD(ZstdLevel::try_new(1)?))
                .set_max_row_group_row_count(Some(250_000))
                .build();
            let mut writer = ArrowWriter::try_new(File::create(path)?, flows::schema(), Some(properties))?;
            let mut left = ROWS_PER_FILE;
            while left > 0 {
                let batch = next_batch(&mut traffic, &recipe, left.min(ROWS_PER_BATCH))?;
                left -= left.min(ROWS_PER_BATCH);
                writer.write(&batch)?;
            }
            writer.close()?;
        }
        self.write_json(seed)
    }

    /// The JSON lines are a recording of their own, with uuids, as a real export has them.
    fn write_json(&self, seed: u64) -> Result<()> {
        let recipe = Recipe { has_uuids: true, ..recipe(seed + 1, self.n_json_rows) };
        let fleet = recipe.fleet();
        let mut out = BufWriter::new(File::create(&self.json)?);
        let mut line = Vec::new();
        for draw in Traffic::new(&recipe, &fleet) {
            line.clear();
            json::write_line(&draw, &mut line);
            out.write_all(&line)?;
        }
        out.flush()?;
        Ok(())
    }
}

fn next_batch(traffic: &mut Traffic<'_>, recipe: &Recipe, n_rows: u64) -> Result<RecordBatch, SchemaError> {
    let mut builder = flows::Builder::default();
    let n_rows = usize::try_from(n_rows).unwrap_or(usize::MAX);
    traffic.take(n_rows).for_each(|draw| columns::append(&draw, recipe.end(), &mut builder));
    builder.finish()
}

/// A pod in the middle of the fleet that has few flows.
fn needle_pod(recipe: &Recipe) -> Result<String> {
    let fleet = recipe.fleet();
    let workload = fleet.workloads.get(17).context("the fleet is too small")?;
    let pod = workload.slots.first().and_then(|slot| slot.pods.first()).context("the workload has no pod")?;
    Ok(pod.name.clone())
}

/// All rows of a file, in batches that make messages of a good size.
pub(crate) fn read(path: &Path) -> Result<Vec<RecordBatch>> {
    let builder = ParquetRecordBatchReaderBuilder::try_new(File::open(path)?)?.with_batch_size(16_384);
    Ok(builder.build()?.collect::<Result<Vec<_>, _>>()?)
}

/// So many things in so much time, by second.
#[expect(clippy::cast_precision_loss, reason = "counts stay far below 2^53")]
pub(crate) fn per_second(n: u64, seconds: f64) -> f64 {
    n as f64 / seconds
}

/// One count by another.
#[expect(clippy::cast_precision_loss, reason = "counts stay far below 2^53")]
pub(crate) fn ratio(n: u64, by: u64) -> f64 {
    n as f64 / by as f64
}
