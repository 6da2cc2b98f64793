//! The functions an expression may call: CEL's own, and those on addresses that Kubernetes adds.

use std::net::IpAddr;

use ::cel::common::types::{CelBool, CelString};
use ::cel::{Env, ExecutionError, add_member_overload, add_overload};
use ipnet::IpNet;

use super::check::Ty;

/// Names of types, which are values too.
pub(super) const TYPE_NAMES: &[&str] =
    &["bool", "int", "uint", "double", "string", "bytes", "list", "map", "null_type", "type"];

/// The standard environment with a container, and what [`result_of`] lists beyond it.
pub(super) fn environment(container: &str) -> Env {
    let mut env = Env::stdlib();
    let _declared = env
        .set_container(container)
        .and_then(|()| add_overload!(env, fn is_ip: (CelString<'_>) -> CelBool, name = "isIP"))
        .and_then(|()| add_overload!(env, fn is_cidr: (CelString<'_>) -> CelBool, name = "isCIDR"))
        .and_then(|()| add_overload!(env, fn ip: (CelString<'_>) -> Result<CelString<'_>>, name = "ip"))
        .and_then(|()| add_overload!(env, fn cidr: (CelString<'_>) -> Result<CelString<'_>>, name = "cidr"))
        .and_then(|()| {
            add_member_overload!(env, fn contains_ip: (CelString<'_>, CelString<'_>) -> Result<CelBool>, name = "containsIP")
        });
    env
}

/// The kind of value a function gives, `None` if there is no such function.
pub(super) fn result_of(name: &str, _is_member: bool) -> Option<Ty> {
    match name {
        "startsWith" | "endsWith" | "contains" | "matches" | "isIP" | "isCIDR" | "containsIP" | "bool" => {
            Some(Ty::Bool)
        }
        "size" | "int" | "getDate" | "getDayOfMonth" | "getDayOfWeek" | "getDayOfYear" | "getFullYear" | "getHours"
        | "getMilliseconds" | "getMinutes" | "getMonth" | "getSeconds" => Some(Ty::Int),
        "uint" => Some(Ty::UInt),
        "double" => Some(Ty::Double),
        "string" | "ip" | "cidr" => Some(Ty::String),
        "bytes" => Some(Ty::Bytes),
        "timestamp" => Some(Ty::Timestamp),
        "duration" => Some(Ty::Duration),
        "dyn" | "type" => Some(Ty::Any),
        _ => None,
    }
}

fn is_ip(text: &CelString<'_>) -> CelBool {
    CelBool::from(text.inner().parse::<IpAddr>().is_ok())
}

fn is_cidr(text: &CelString<'_>) -> CelBool {
    CelBool::from(text.inner().parse::<IpNet>().is_ok())
}

fn contains_ip(network: &CelString<'_>, address: &CelString<'_>) -> Result<CelBool, ExecutionError> {
    let network = network.inner().parse::<IpNet>().map_err(|error| ExecutionError::function_error("cidr", error))?;
    let address = address.inner().parse::<IpAddr>().map_err(|error| ExecutionError::function_error("ip", error))?;
    Ok(CelBool::from(network.contains(&address)))
}

/// An address; it stays a text, since all that is asked of it takes texts too.
fn ip(text: &CelString<'_>) -> Result<CelString<'static>, ExecutionError> {
    let address = text.inner().parse::<IpAddr>().map_err(|error| ExecutionError::function_error("ip", error))?;
    Ok(CelString::from(address.to_string()))
}

/// A network; see [`ip`].
fn cidr(text: &CelString<'_>) -> Result<CelString<'static>, ExecutionError> {
    let network = text.inner().parse::<IpNet>().map_err(|error| ExecutionError::function_error("cidr", error))?;
    Ok(CelString::from(network.to_string()))
}
