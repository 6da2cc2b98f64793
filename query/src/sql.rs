//! Read-only SQL over all tables, each statement in one snapshot and under limits.
//!
//! A statement is worked out on threads of its own, so that a heavy one does not hold up the server's. It cannot
//! write, read files, or change settings: statements are checked by kind before they are planned, and the plan once
//! more. Memory is bounded by a pool; nothing is spilled to disk.

mod fault;
mod functions;
mod guard;
mod newest;
mod provider;
mod stream;

use std::sync::Arc;

use datafusion::execution::disk_manager::{DiskManagerBuilder, DiskManagerMode};
use datafusion::execution::memory_pool::{GreedyMemoryPool, TrackConsumersPool};
use datafusion::execution::runtime_env::RuntimeEnvBuilder;
use datafusion::execution::session_state::SessionStateBuilder;
use datafusion::physical_optimizer::PhysicalOptimizerRule;
use datafusion::physical_optimizer::optimizer::PhysicalOptimizer;
use datafusion::prelude::{SessionConfig, SessionContext};
use futures::StreamExt as _;
use hindcast_model::{TableId, TimeRange};
use hindcast_storage::Snapshot;
use tokio::sync::{mpsc, oneshot};

pub use self::functions::FUNCTIONS;
pub use self::stream::SqlStream;
use self::stream::{Sent, trimmed};
use crate::limits::Budget;
use crate::{CutReason, Engine, Limits, QueryError};

/// Longest statement that is read, in bytes.
const MAX_TEXT_BYTES: usize = 65_536;
/// Batches of an answer that may wait for a slow client.
const ANSWER_QUEUE: usize = 2;
/// Rows of a batch.
const BATCH_ROWS: usize = 8_192;
/// Consumers named when memory runs out.
const NAMED_CONSUMERS: usize = 3;

impl Engine {
    /// Answers a statement.
    ///
    /// # Errors
    /// The statement is malformed, asks for what there is not, or would do more than read.
    pub async fn sql(&self, text: &str, limits: Limits) -> Result<SqlStream, QueryError> {
        self.sql_in(self.store().snapshot(), text, limits).await
    }

    /// Like [`Engine::sql`], in a snapshot that the caller holds.
    ///
    /// # Errors
    /// As [`Engine::sql`].
    pub async fn sql_in(&self, snapshot: Snapshot, text: &str, limits: Limits) -> Result<SqlStream, QueryError> {
        if text.len() > MAX_TEXT_BYTES {
            let message = format!("statement of {} bytes is longer than {MAX_TEXT_BYTES}", text.len());
            return Err(QueryError::Invalid(message));
        }
        let permit = self.permit().await?;
        let (schema_sender, schema) = oneshot::channel();
        let (sender, receiver) = mpsc::channel(ANSWER_QUEUE);
        let text = text.to_owned();
        let work = Work { snapshot, text, limits, engine: self.clone() };
        // The thread ends when the statement does, its time is over, or the stream is dropped.
        let _detached = tokio::task::spawn_blocking(move || {
            work.run(schema_sender, sender);
            drop(permit);
        });
        match schema.await {
            Ok(Ok(schema)) => Ok(SqlStream::new(schema, receiver)),
            Ok(Err(error)) => Err(error),
            Err(_gone) => Err(QueryError::Exhausted { what: "threads" }),
        }
    }
}

struct Work {
    snapshot: Snapshot,
    text: String,
    limits: Limits,
    engine: Engine,
}

type SchemaSender = oneshot::Sender<Result<arrow::datatypes::SchemaRef, QueryError>>;
type Sender = mpsc::Sender<Result<Sent, QueryError>>;

impl Work {
    fn run(self, schema: SchemaSender, sender: Sender) {
        let n_threads = std::thread::available_parallelism().map_or(2, usize::from);
        let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(n_threads).enable_all().build();
        let runtime = match runtime {
            Ok(runtime) => runtime,
            Err(source) => {
                let error = QueryError::Internal { step: "start threads", source: Arc::new(source) };
                let _gone = schema.send(Err(error));
                return;
            }
        };
        runtime.block_on(self.answer(schema, sender));
        runtime.shutdown_background();
    }

    async fn answer(self, schema: SchemaSender, sender: Sender) {
        let mut budget = Budget::new(self.limits);
        let planned = tokio::time::timeout(self.limits.max_time, self.plan()).await;
        let mut rows = match planned {
            Ok(Ok(rows)) => rows,
            Ok(Err(error)) => {
                let _gone = schema.send(Err(error));
                return;
            }
            Err(_elapsed) => {
                let _gone = schema.send(Err(QueryError::Exhausted { what: "time" }));
                return;
            }
        };
        if schema.send(Ok(rows.schema())).is_err() {
            return;
        }
        loop {
            let left = budget.time_left();
            let next = tokio::select! {
                // Nobody reads any more: the statement is dropped with its stream.
                () = sender.closed() => return,
                next = tokio::time::timeout(left, rows.next()) => next,
            };
            let records = match next {
                Err(_elapsed) => {
                    let _gone = sender.send(Ok(Sent::Cut(budget.cut(CutReason::Time)))).await;
                    return;
                }
                Ok(None) => {
                    let away = self.misses_remote().then(|| Sent::Cut(budget.cut(CutReason::Away)));
                    let _gone = sender.send(Ok(away.unwrap_or(Sent::End))).await;
                    return;
                }
                Ok(Some(Err(error))) => {
                    let _gone = sender.send(Err(fault::explain(error, &self.text))).await;
                    return;
                }
                Ok(Some(Ok(records))) => records,
            };
            let (records, is_over) = trimmed(records, budget.rows_left());
            let cut = budget.give(records.num_rows(), records.get_array_memory_size());
            let cut = if is_over { Some(budget.cut(CutReason::Rows)) } else { cut };
            if records.num_rows() > 0 && sender.send(Ok(Sent::Rows(records))).await.is_err() {
                return;
            }
            if let Some(cut) = cut {
                let _gone = sender.send(Ok(Sent::Cut(cut))).await;
                return;
            }
        }
    }

    /// Whether the answer may lack rows because ClickHouse does not answer.
    fn misses_remote(&self) -> bool {
        TableId::ALL.iter().any(|table| self.snapshot.is_remote_away(*table, TimeRange::ALL))
    }

    async fn plan(&self) -> Result<datafusion::execution::SendableRecordBatchStream, QueryError> {
        let explain = |error| fault::explain(error, &self.text);
        let context = self.context()?;
        let state = context.state();
        let statement = guard::single_question(&self.text)?;
        let plan = state.statement_to_plan(statement).await.map_err(explain)?;
        guard::reads_only(&plan)?;
        if newest::is_candidate(&plan) {
            let optimized = state.optimize(&plan).map_err(explain)?;
            let narrowed = newest::narrowed(&self.engine, &self.snapshot, optimized, self.limits).await;
            if let Some(narrowed) = narrowed.map_err(explain)? {
                let planned = state.query_planner().create_physical_plan(&narrowed, &state).await.map_err(explain)?;
                return datafusion::physical_plan::execute_stream(planned, state.task_ctx()).map_err(explain);
            }
        }
        let frame = context.execute_logical_plan(plan).await.map_err(explain)?;
        frame.execute_stream().await.map_err(explain)
    }

    /// A session that sees the tables of the snapshot and nothing else.
    fn context(&self) -> Result<SessionContext, QueryError> {
        let explain = |error| fault::explain(error, &self.text);
        let memory = usize::try_from(self.limits.max_memory.0).unwrap_or(usize::MAX);
        let names = std::num::NonZeroUsize::new(NAMED_CONSUMERS).unwrap_or(std::num::NonZeroUsize::MIN);
        let pool = TrackConsumersPool::new(GreedyMemoryPool::new(memory), names);
        let runtime = RuntimeEnvBuilder::new()
            .with_memory_pool(Arc::new(pool))
            .with_disk_manager_builder(DiskManagerBuilder::default().with_mode(DiskManagerMode::Disabled))
            .build_arc()
            .map_err(explain)?;
        let mut config = SessionConfig::new()
            .with_information_schema(true)
            .with_batch_size(BATCH_ROWS)
            .with_default_catalog_and_schema("hindcast", "public")
            .with_parquet_pruning(true)
            .with_parquet_bloom_filter_pruning(true)
            .with_parquet_page_index_pruning(true);
        config.options_mut().sql_parser.collect_spans = true;
        config.options_mut().execution.parquet.pushdown_filters = true;
        // First of all rules: later ones move filters and divide rows among threads.
        let mut rules: Vec<Arc<dyn PhysicalOptimizerRule + Send + Sync>> = vec![Arc::new(provider::FoldThere)];
        rules.extend(PhysicalOptimizer::new().rules);
        let state = SessionStateBuilder::new()
            .with_config(config)
            .with_runtime_env(runtime)
            .with_default_features()
            .with_physical_optimizer_rules(rules)
            .build();
        let context = SessionContext::new_with_state(state);
        for table in TableId::ALL {
            let provider = provider::Table::new(table, self.snapshot.clone(), &self.engine, self.limits);
            context.register_table(table.name(), Arc::new(provider)).map_err(explain)?;
        }
        provider::register_store(&context, &self.snapshot);
        functions::register(&context);
        Ok(context)
    }
}

#[cfg(test)]
mod tests;
