#![cfg(test)]
//! The integration tests of the whole house.
