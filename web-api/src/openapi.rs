//! The OpenAPI 3.1 document of the REST door; `docs/openapi.json` is its copy, and a test keeps it fresh.

use hindcast_model::{ColumnDef, ColumnKind, TableId};
use serde_json::{Map, Value, json};
use utoipa::openapi::{RefOr, Schema};
use utoipa::{IntoResponses, OpenApi, PartialSchema, ToSchema};

use crate::columns::is_list;
use crate::problem::Problem;
use crate::{render, rest};

/// What may go wrong with any request.
#[derive(IntoResponses)]
#[expect(dead_code, reason = "only its derivation is used")]
pub(crate) enum Problems {
    /// The request is wrong; `parameter` and `span` say where.
    #[response(status = 400, content_type = "application/problem+json")]
    Invalid(#[to_schema] Problem),
    /// The server asks for a credential.
    #[response(status = 401, content_type = "application/problem+json")]
    Unauthorized(#[to_schema] Problem),
    /// The request did not mean this server: its host or origin is another.
    #[response(status = 403, content_type = "application/problem+json")]
    Forbidden(#[to_schema] Problem),
    /// There is no such thing.
    #[response(status = 404, content_type = "application/problem+json")]
    NotFound(#[to_schema] Problem),
    /// The path knows other methods only.
    #[response(status = 405, content_type = "application/problem+json")]
    MethodNotAllowed(#[to_schema] Problem),
    /// The answer cannot be had in a form that the client takes.
    #[response(status = 406, content_type = "application/problem+json")]
    NotAcceptable(#[to_schema] Problem),
    /// A limit is reached; try again later.
    #[response(status = 429, content_type = "application/problem+json")]
    Busy(#[to_schema] Problem),
    /// The server failed.
    #[response(status = 500, content_type = "application/problem+json")]
    Internal(#[to_schema] Problem),
    /// The server stops, or the answer could not be begun in time.
    #[response(status = 503, content_type = "application/problem+json")]
    Unavailable(#[to_schema] Problem),
}

/// What may go wrong with a body.
#[derive(IntoResponses)]
#[expect(dead_code, reason = "only its derivation is used")]
pub(crate) enum BodyProblems {
    /// The body is too long.
    #[response(status = 413, content_type = "application/problem+json")]
    TooLarge(#[to_schema] Problem),
    /// The body is of a type that is not read here.
    #[response(status = 415, content_type = "application/problem+json")]
    Unsupported(#[to_schema] Problem),
}

/// Declares the schema of a page of rows.
macro_rules! page {
    ($(#[doc = $doc:literal])+ $name:ident, $rows:expr) => {
        $(#[doc = $doc])+
        #[derive(Debug)]
        pub(crate) struct $name;

        impl PartialSchema for $name {
            fn schema() -> RefOr<Schema> {
                read(page_of($rows))
            }
        }

        impl ToSchema for $name {
            fn schemas(schemas: &mut Vec<(String, RefOr<Schema>)>) {
                schemas.push(("CutDto".to_owned(), render::CutDto::schema()));
                schemas.push(("Problem".to_owned(), Problem::schema()));
                <Problem as ToSchema>::schemas(schemas);
            }
        }
    };
}

page!(
    /// Flows.
    FlowPage,
    row_of(TableId::Flows)
);
page!(
    /// Runtime events.
    RuntimePage,
    row_of(TableId::RuntimeEvents)
);
page!(
    /// Losses.
    LossPage,
    row_of(TableId::Losses)
);
page!(
    /// Rows of a statement: their columns are the statement's.
    SqlPage,
    json!({"type": "object"})
);

/// Columns in chunks.
#[derive(Debug)]
pub(crate) struct ColumnPage;

impl PartialSchema for ColumnPage {
    fn schema() -> RefOr<Schema> {
        let text = json!({"type": "string"});
        let column =
            json!({"type": "object", "required": ["name", "type"], "properties": {"name": text, "type": text}});
        let columns = json!({"type": "array", "items": column});
        let chunks = json!({
            "type": "array",
            "description": "Per chunk one array per column, all of the same length.",
            "items": {"type": "array", "items": {"type": "array", "items": {}}},
        });
        let mut properties = Map::from_iter([("columns".to_owned(), columns), ("chunks".to_owned(), chunks)]);
        properties.extend(ending());
        read(json!({
            "type": "object",
            "required": ["columns", "chunks", "next_cursor", "cut"],
            "properties": properties,
        }))
    }
}

impl ToSchema for ColumnPage {}

fn read(schema: Value) -> RefOr<Schema> {
    serde_json::from_value::<Schema>(schema).map_or_else(|_unreadable| Schema::default().into(), RefOr::T)
}

fn page_of(row: Value) -> Value {
    let mut properties = Map::from_iter([("rows".to_owned(), json!({"type": "array", "items": row}))]);
    properties.extend(ending());
    json!({"type": "object", "required": ["rows", "next_cursor", "cut"], "properties": properties})
}

/// What every page ends with.
fn ending() -> Map<String, Value> {
    let reference = |name: &str| json!({"$ref": format!("#/components/schemas/{name}")});
    Map::from_iter([
        (
            "next_cursor".to_owned(),
            json!({"type": ["string", "null"], "description": "Where the next page begins; null if there is none."}),
        ),
        ("cut".to_owned(), json!({"oneOf": [{"type": "null"}, reference("CutDto")]})),
        ("problem".to_owned(), reference("Problem")),
    ])
}

/// A row of a table: every column may be absent.
fn row_of(table: TableId) -> Value {
    let properties = table.columns().iter().map(|column| (column.name.to_owned(), column_schema(column)));
    json!({"type": "object", "properties": Map::from_iter(properties), "additionalProperties": false})
}

fn column_schema(column: &ColumnDef) -> Value {
    let doc = column.doc.trim();
    let number = |minimum: i64, maximum: Value| json!({"type": "integer", "minimum": minimum, "maximum": maximum, "description": doc});
    match column.kind {
        ColumnKind::Time => json!({"type": "string", "format": "date-time", "description": doc}),
        ColumnKind::Bool => json!({"type": "boolean", "description": doc}),
        ColumnKind::U8 => number(0, json!(u8::MAX)),
        ColumnKind::U16 => number(0, json!(u16::MAX)),
        ColumnKind::U32 => number(0, json!(u32::MAX)),
        ColumnKind::U64 => json!({"type": "integer", "minimum": 0, "description": doc}),
        ColumnKind::I32 => number(i64::from(i32::MIN), json!(i32::MAX)),
        ColumnKind::I64 => json!({"type": "integer", "description": doc}),
        ColumnKind::Dict | ColumnKind::Text if is_list(column.name) => {
            json!({"type": "array", "items": {"type": "string"}, "description": doc})
        }
        ColumnKind::Dict | ColumnKind::Text => json!({"type": "string", "description": doc}),
        ColumnKind::Bytes | ColumnKind::DictBytes => {
            json!({"type": "string", "contentEncoding": "base64", "description": doc})
        }
    }
}

/// The document.
#[derive(OpenApi)]
#[openapi(
    info(
        title = "Hindcast",
        description = "What every workload did: flows and runtime events, as recorded. Times are RFC 3339 in UTC with nine digits. Integers of 64 bits are JSON numbers: read them with a parser that keeps all digits. A value that the wire did not say is absent from its row.",
        license(name = "Apache-2.0", identifier = "Apache-2.0"),
    ),
    paths(
        rest::events::flows,
        rest::events::runtime,
        rest::events::losses,
        rest::live::live,
        rest::sql::get,
        rest::sql::post,
        rest::ask::histogram,
        rest::ask::top,
        rest::ask::suggest,
        rest::state::status,
        rest::state::sources,
        rest::state::tables,
        rest::ops::openapi,
        rest::ops::metrics,
        rest::ops::health,
        rest::ops::ready,
    ),
    components(schemas(Problem, render::CutDto)),
    security((), ("bearer" = []), ("basic" = [])),
    modifiers(&Credentials),
    tags(
        (name = "events", description = "Events, page by page or as they arrive"),
        (name = "questions", description = "Counts over events"),
        (name = "sql", description = "Read-only SQL over all tables"),
        (name = "state", description = "The recorder itself"),
    ),
)]
struct Document;

/// The credentials that a server may ask for.
struct Credentials;

impl utoipa::Modify for Credentials {
    fn modify(&self, document: &mut utoipa::openapi::OpenApi) {
        use utoipa::openapi::security::{HttpAuthScheme, HttpBuilder, SecurityScheme};
        let components = document.components.get_or_insert_default();
        for (name, scheme) in [("bearer", HttpAuthScheme::Bearer), ("basic", HttpAuthScheme::Basic)] {
            let scheme = HttpBuilder::new().scheme(scheme).build();
            components.add_security_scheme(name, SecurityScheme::Http(scheme));
        }
    }
}

/// The document as JSON text.
pub(crate) fn text() -> String {
    let mut document = Document::openapi();
    // The version of the interface is in its path; the document must not change with every build.
    document.info.version = "1".to_owned();
    document.to_pretty_json().unwrap_or_default() + "\n"
}

#[cfg(test)]
mod tests {
    //! The checked-in copy.

    #[test]
    fn the_checked_in_document_is_fresh() {
        let path = concat!(env!("CARGO_MANIFEST_DIR"), "/../docs/openapi.json");
        let text = super::text();
        if std::env::var_os("UPDATE").is_some() {
            std::fs::write(path, &text).expect("the document is written");
        }
        let checked_in = std::fs::read_to_string(path).unwrap_or_default();
        assert!(text == checked_in, "docs/openapi.json is out of date: run the tests with UPDATE=1");
    }
}
