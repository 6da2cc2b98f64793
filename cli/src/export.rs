//! `hindcast export`: recorded events as a file that other tools read.

use std::fs::File;
use std::io::{BufWriter, IsTerminal as _, Write};
use std::path::{Path, PathBuf};

use anyhow::{Context as _, bail};
use arrow::array::RecordBatch;
use arrow::datatypes::Schema;
use arrow::ipc::writer::StreamWriter;
use arrow::json::LineDelimitedWriter;
use hindcast_model::{TableId, Timestamp};
use parquet::arrow::ArrowWriter;
use parquet::basic::{Compression, ZstdLevel};
use parquet::file::properties::WriterProperties;

use crate::args::{ExportArgs, ExportFormat};
use crate::ask::{Asker, Pick, Question};
use crate::exit;
use crate::human;
use crate::lines::Encoder;
use crate::setup::{self, Common};
use crate::time_input;

/// Runs the command.
///
/// # Errors
/// The table, filter or a time is wrong, the place cannot be read, or the file cannot be written.
pub(crate) fn run(args: &ExportArgs, common: &Common) -> anyhow::Result<u8> {
    let question = question(args, setup::clock().now())?;
    let is_binary = matches!(args.format, ExportFormat::Parquet | ExportFormat::Arrow);
    if is_binary && args.out.is_none() && std::io::stdout().is_terminal() {
        return Err(exit::usage("this form is no text for a terminal: name a file with --out FILE"));
    }
    setup::block_on(async {
        let asker = Asker::open(&args.place, common).await?;
        let result = write(&asker, question, args).await;
        asker.close().await;
        result
    })
}

fn question(args: &ExportArgs, now: Timestamp) -> anyhow::Result<Question> {
    let names = TableId::ALL.map(TableId::name).join(", ");
    let table = TableId::parse(&args.table)
        .ok_or_else(|| exit::usage(format!("there is no table {}: there are {names}", args.table)))?;
    match (args.format, table) {
        (ExportFormat::Hubble, TableId::Flows) | (ExportFormat::Tetragon, TableId::RuntimeEvents) => {}
        (ExportFormat::Hubble, _) => return Err(exit::usage("--format hubble is for --table flows")),
        (ExportFormat::Tetragon, _) => return Err(exit::usage("--format tetragon is for --table runtime_events")),
        (ExportFormat::Parquet | ExportFormat::Arrow | ExportFormat::Ndjson, _) => {}
    }
    let time = |name: &str, text: &Option<String>| {
        let parsed = text.as_ref().map(|text| time_input::parse(text, now)).transpose();
        parsed.map_err(|error| exit::usage(format!("--{name} {error}")))
    };
    let filter: Vec<&str> = args.filter.iter().map(|term| term.trim()).collect();
    Ok(Question {
        table,
        filter: filter.join(" "),
        since: time("since", &args.since)?,
        until: time("until", &args.until)?,
        pick: Pick::All,
    })
}

async fn write(asker: &Asker, question: Question, args: &ExportArgs) -> anyhow::Result<u8> {
    let table = question.table;
    let mut rows = asker.events(question).await?;
    let schema = rows.schema().context("the answer has no columns")?;
    let target = Target::open(args.out.as_deref())?;
    let mut writer = Writer::new(args.format, table, &schema, target.out()?)?;
    let mut n_rows = 0_u64;
    while let Some(records) = rows.next().await? {
        n_rows += u64::try_from(records.num_rows()).unwrap_or(0);
        writer.write(&records)?;
    }
    writer.end()?;
    let name = target.keep()?;
    let mut stderr = std::io::stderr();
    if let Some(name) = name {
        writeln!(stderr, "{} rows of {table} are in {}", human::count(n_rows), name.display())?;
    }
    match rows.cut() {
        None => Ok(exit::DONE),
        Some(cut) => bail!("the export is not complete: {cut}"),
    }
}

/// Where the rows go: stdout, or a file that gets its name when it is complete.
enum Target {
    Stdout,
    File { path: PathBuf, partial: PathBuf },
}

impl Target {
    fn open(path: Option<&Path>) -> anyhow::Result<Self> {
        let Some(path) = path else { return Ok(Self::Stdout) };
        let name = path.file_name().with_context(|| format!("{} is no name of a file", path.display()))?;
        let mut partial = name.to_owned();
        partial.push(".partial");
        Ok(Self::File { path: path.to_owned(), partial: path.with_file_name(partial) })
    }

    fn out(&self) -> anyhow::Result<Box<dyn Write + Send>> {
        match self {
            Self::Stdout => Ok(Box::new(BufWriter::new(std::io::stdout()))),
            Self::File { partial, .. } => {
                let file = File::create(partial).with_context(|| format!("cannot create {}", partial.display()))?;
                Ok(Box::new(BufWriter::new(file)))
            }
        }
    }

    fn keep(self) -> anyhow::Result<Option<PathBuf>> {
        match self {
            Self::Stdout => Ok(None),
            Self::File { path, partial } => {
                File::open(&partial).and_then(|file| file.sync_all()).context("the export cannot be synced")?;
                std::fs::rename(&partial, &path).with_context(|| format!("cannot name the file {}", path.display()))?;
                Ok(Some(path))
            }
        }
    }
}

type Out = Box<dyn Write + Send>;

enum Writer {
    Parquet(Box<ArrowWriter<Out>>),
    Arrow(StreamWriter<Out>),
    Ndjson(LineDelimitedWriter<Out>),
    Lines(Encoder, TableId, Out),
}

impl Writer {
    fn new(format: ExportFormat, table: TableId, schema: &Schema, out: Out) -> anyhow::Result<Self> {
        Ok(match format {
            ExportFormat::Parquet => {
                let properties =
                    WriterProperties::builder().set_compression(Compression::ZSTD(ZstdLevel::default())).build();
                let writer = ArrowWriter::try_new(out, schema.clone().into(), Some(properties));
                Self::Parquet(Box::new(writer.context("the rows cannot be written as Parquet")?))
            }
            ExportFormat::Arrow => Self::Arrow(StreamWriter::try_new(out, schema)?),
            ExportFormat::Ndjson => Self::Ndjson(LineDelimitedWriter::new(out)),
            ExportFormat::Hubble | ExportFormat::Tetragon => Self::Lines(Encoder::default(), table, out),
        })
    }

    fn write(&mut self, records: &RecordBatch) -> anyhow::Result<()> {
        match self {
            Self::Parquet(writer) => writer.write(records)?,
            Self::Arrow(writer) => writer.write(records)?,
            Self::Ndjson(writer) => writer.write(records)?,
            Self::Lines(encoder, table, out) => encoder.write(*table, records, out)?,
        }
        Ok(())
    }

    fn end(self) -> anyhow::Result<()> {
        match self {
            Self::Parquet(writer) => writer.into_inner()?.flush()?,
            Self::Arrow(writer) => writer.into_inner()?.flush()?,
            Self::Ndjson(mut writer) => {
                writer.finish()?;
                writer.into_inner().flush()?;
            }
            Self::Lines(_, _, mut out) => out.flush()?,
        }
        Ok(())
    }
}
