//! The integration tests: the whole house, through the doors a user has. One binary, so that it links once.
#![cfg(test)]

mod layering;
mod tidy;
