//! From rows in memory to a segment.
//!
//! `merge` makes one set of columns out of many batches, `order` decides the order of the rows and which rows share an
//! edge, `rollup` folds flows into edges, `write` and `pages` make the Parquet bytes, `run` stores and commits them.

pub(crate) mod merge;
pub(crate) mod order;
mod pages;
pub mod rollup;
pub(crate) mod run;
pub(crate) mod write;
