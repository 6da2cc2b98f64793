//! The schema in ClickHouse: which steps are applied, and applying those that are not.

use hindcast_migrations::Step;
use hindcast_migrations::clickhouse::{Form, STEPS};
use hindcast_model::Kind;

use super::keep::{Unkept, unkept};
use super::shards::missing;
use super::{ClickHouseError, Connection, KeepConfig};
use crate::config::ValidConfig;

/// Why the schema is not as it has to be.
#[derive(Debug, thiserror::Error)]
pub enum SchemaError {
    /// No server is configured.
    #[error("storage.clickhouse.url is not set")]
    NotConfigured,
    /// A later build made the schema.
    #[error("the schema in ClickHouse has version {found}, this build knows versions up to {known}: use a later build")]
    FromTheFuture {
        /// The version there.
        found: u32,
        /// The last this build knows.
        known: u32,
    },
    /// Steps are not applied.
    #[error("the schema in ClickHouse has version {found}, version {known} is needed: run `hindcast migrate apply`")]
    Behind {
        /// The version there.
        found: u32,
        /// The last this build knows.
        known: u32,
    },
    /// A table has another TTL than is configured: rows that it removes would be taken for lost.
    #[error(
        "{} in ClickHouse has the TTL {:?}, storage.clickhouse.keep wants {:?}: \
         run `hindcast migrate apply`, or configure what is there",
        .0.table, .0.found, .0.wanted
    )]
    Unkept(Unkept),
    /// Tables through which all shards are asked are missing, or have other columns.
    #[error("the tables that reach all shards are not there, or not as they have to be: run `hindcast migrate apply`")]
    Unspread,
    /// The server said no.
    #[error(transparent)]
    Server(#[from] ClickHouseError),
}

impl SchemaError {
    /// Who has to act.
    #[must_use]
    pub const fn kind(&self) -> Kind {
        match self {
            Self::NotConfigured
            | Self::FromTheFuture { .. }
            | Self::Behind { .. }
            | Self::Unkept(_)
            | Self::Unspread => Kind::Invalid,
            Self::Server(error) => error.kind(),
        }
    }
}

/// The schema of the configured server.
#[derive(Debug)]
pub struct Schema {
    connection: Connection,
    database: String,
    cluster: String,
    shards: String,
    keep: KeepConfig,
}

/// The last version this build knows.
fn known() -> u32 {
    STEPS.last().map_or(0, |step| step.version)
}

impl Schema {
    /// The schema that a configuration means. Nothing is asked yet.
    ///
    /// # Errors
    /// No server is configured, or its password cannot be read.
    pub fn of(config: &ValidConfig) -> Result<Self, SchemaError> {
        let config = &config.clickhouse;
        if config.url.is_empty() {
            return Err(SchemaError::NotConfigured);
        }
        let connection = Connection::new(config)?;
        Ok(Self {
            connection,
            database: config.database.clone(),
            cluster: config.cluster.clone(),
            shards: config.shards.clone(),
            keep: config.keep,
        })
    }

    fn form(&self) -> Form<'_> {
        Form { database: &self.database, cluster: (!self.cluster.is_empty()).then_some(self.cluster.as_str()) }
    }

    /// The version of the last step that was applied; 0 where none was.
    ///
    /// # Errors
    /// The server does not answer, or its schema is from the future.
    pub async fn version(&self) -> Result<u32, SchemaError> {
        let exists = format!(
            "SELECT count() FROM system.tables WHERE database = '{}' AND name = 'schema_migrations'",
            self.database
        );
        if self.connection.number("say which tables it has", &exists).await? == 0 {
            return Ok(0);
        }
        let last = format!("SELECT toUInt64(max(version)) FROM {}.schema_migrations", self.database);
        let found = self.connection.number("say which steps were applied", &last).await?;
        let (found, known) = (u32::try_from(found).unwrap_or(u32::MAX), known());
        if found > known { Err(SchemaError::FromTheFuture { found, known }) } else { Ok(found) }
    }

    /// Whether the schema is the one that this build needs.
    ///
    /// # Errors
    /// It is not, or the server does not answer.
    pub(crate) async fn check(&self) -> Result<(), SchemaError> {
        let (found, known) = (self.version().await?, known());
        if found < known { Err(SchemaError::Behind { found, known }) } else { Ok(()) }
    }

    /// Whether the server keeps rows as long as is configured.
    ///
    /// # Errors
    /// It does not, or does not answer.
    pub(crate) async fn check_keep(&self) -> Result<(), SchemaError> {
        let unkept = unkept(&self.connection, &self.database, &self.keep).await?;
        unkept.into_iter().next().map_or(Ok(()), |table| Err(SchemaError::Unkept(table)))
    }

    /// The tables that keep rows longer or shorter than is configured, with the statements that put them right.
    ///
    /// # Errors
    /// The server does not answer.
    pub async fn unkept(&self) -> Result<Vec<(Unkept, String)>, SchemaError> {
        let unkept = unkept(&self.connection, &self.database, &self.keep).await?;
        let on_cluster = self.form().on_cluster();
        let statement = |table: &Unkept| table.statement(&self.database, &on_cluster);
        Ok(unkept.into_iter().map(|table| (table.clone(), statement(&table))).collect())
    }

    /// Sets how long each table keeps rows, where it is not as configured; `tell` hears of each when it is done.
    ///
    /// # Errors
    /// The server refuses.
    pub async fn keep(&self, mut tell: impl FnMut(&Unkept)) -> Result<(), SchemaError> {
        for (table, statement) in self.unkept().await? {
            self.connection.execute("set how long a table keeps rows", &statement).await?;
            tell(&table);
        }
        Ok(())
    }

    /// The statements that make the tables through which all shards are asked, where they are not as they have to be.
    ///
    /// # Errors
    /// The server does not answer.
    pub async fn unspread(&self) -> Result<Vec<String>, SchemaError> {
        missing(&self.connection, &self.database, &self.shards, &self.form().on_cluster()).await
    }

    /// Whether all shards can be asked.
    ///
    /// # Errors
    /// They cannot, or the server does not answer.
    pub(crate) async fn check_spread(&self) -> Result<(), SchemaError> {
        if self.unspread().await?.is_empty() { Ok(()) } else { Err(SchemaError::Unspread) }
    }

    /// Makes the tables through which all shards are asked, where they are not as they have to be; how many statements
    /// that took.
    ///
    /// # Errors
    /// The server refuses.
    pub async fn spread(&self) -> Result<usize, SchemaError> {
        let statements = self.unspread().await?;
        for statement in &statements {
            self.connection.execute("make a table that reaches all shards", statement).await?;
        }
        Ok(statements.len())
    }

    /// The steps that are not applied, with their statements.
    ///
    /// # Errors
    /// As [`Schema::version`].
    pub async fn plan(&self) -> Result<Vec<(Step, String)>, SchemaError> {
        let found = self.version().await?;
        Ok(STEPS.iter().filter(|step| step.version > found).map(|step| (*step, self.form().statement(step))).collect())
    }

    /// All steps with whether they are applied.
    ///
    /// # Errors
    /// As [`Schema::version`].
    pub async fn status(&self) -> Result<Vec<(Step, bool)>, SchemaError> {
        let found = self.version().await?;
        Ok(STEPS.iter().map(|step| (*step, step.version <= found)).collect())
    }

    /// Applies the steps that are not applied, in order; `tell` hears of each when it is done. One that was broken off
    /// is applied again: every step may be.
    ///
    /// # Errors
    /// The schema is from the future, or the server refuses a step; the steps before it stay.
    pub async fn apply(&self, mut tell: impl FnMut(&Step)) -> Result<(), SchemaError> {
        let plan = self.plan().await?;
        if !plan.is_empty() {
            self.connection.execute("make the database", &self.form().create_database()).await?;
        }
        for (step, statement) in plan {
            self.connection.execute("apply a step of the schema", &statement).await?;
            let noted = format!(
                "INSERT INTO {}.schema_migrations (version, name, build) VALUES ({}, '{}', '{}')",
                self.database,
                step.version,
                step.name,
                env!("CARGO_PKG_VERSION")
            );
            self.connection.execute("note a step of the schema", &noted).await?;
            tell(&step);
        }
        Ok(())
    }
}
