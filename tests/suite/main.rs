//! The integration tests: the whole house, through the doors a user has. One binary, so that it links once.
#![cfg(test)]

mod bad_days;
mod bad_input;
mod buckets;
mod chaos;
mod clickhouse;
mod command;
mod crash;
mod doors;
mod import;
mod judges;
mod keep;
mod kubernetes;
mod lake;
mod layering;
mod locked;
mod oracle;
mod packets;
mod plan;
mod recordings;
mod round_trip;
mod sensor;
mod sensors;
mod shards;
mod tidy;
mod tiers;
