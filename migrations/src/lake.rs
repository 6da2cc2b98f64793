//! The steps of the catalogue of a lake that several share, in PostgreSQL.
//!
//! The table `hindcast_schema` keeps the number of the last step. Whoever has a connection runs them; here is no network.

use crate::Step;

/// The steps, in order.
pub const STEPS: &[Step] = &[
    Step { version: 1, name: "ducklake", sql: include_str!("../lake/0001-ducklake.sql") },
    Step { version: 2, name: "hindcast", sql: include_str!("../lake/0002-hindcast.sql") },
    Step { version: 3, name: "sources", sql: include_str!("../lake/0003-sources.sql") },
];
