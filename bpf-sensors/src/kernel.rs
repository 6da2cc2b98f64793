//! The kernel's side: which programs there are, how they are loaded, and what of them could not be.

pub(crate) mod load;
pub(crate) mod objects;
pub(crate) mod programs;
pub(crate) mod reasons;

pub use load::LoadError;
pub(crate) use load::{Kernel, load};
