//! The message types of the wires, by name.

use std::sync::LazyLock;

use prost_reflect::{DescriptorPool, MessageDescriptor};

static POOL: LazyLock<Option<DescriptorPool>> =
    LazyLock::new(|| DescriptorPool::decode(hindcast_proto::FILE_DESCRIPTOR_SET).ok());

/// The message type of that full name.
pub(crate) fn message(name: &str) -> Option<MessageDescriptor> {
    POOL.as_ref()?.get_message_by_name(name)
}
