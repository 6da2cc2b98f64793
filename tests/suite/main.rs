//! The integration tests: the whole house, through the doors a user has. One binary, so that it links once.
#![cfg(test)]

mod doors;
mod import;
mod layering;
mod oracle;
mod recordings;
mod round_trip;
mod tidy;
