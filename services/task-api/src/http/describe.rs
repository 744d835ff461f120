//! What the routes do not say of themselves: who may ask, and the headers that many of them share.

use rowcast_proto::rest::{IncidentNotice, PrecheckBegun, PrecheckEnded};
use utoipa::ToSchema;
use utoipa::openapi::header::{Header, HeaderBuilder};
use utoipa::openapi::path::{Operation, Parameter, ParameterBuilder, ParameterIn, PathItem};
use utoipa::openapi::security::{HttpAuthScheme, HttpBuilder, SecurityRequirement, SecurityScheme};
use utoipa::openapi::{
    Content, License, ObjectBuilder, OpenApi, Ref, RefOr, Required, Response, ResponseBuilder,
    Schema, Type,
};

use super::idempotency::KEY_CHARACTERS_MAX;
use crate::error::ProblemBody;

const IDEMPOTENCY_KEY: &str = "Idempotency-Key";

const IF_MATCH: &str = "If-Match";

/// Completes the description.
pub(super) fn describe(document: &mut OpenApi) {
    "Rowcast".clone_into(&mut document.info.title);
    env!("CARGO_PKG_VERSION").clone_into(&mut document.info.version);
    document.info.description =
        Some("Change tracking for PostgreSQL, delivered over NATS.".to_owned());
    // Otherwise those of the crate that makes the description.
    document.info.contact = None;
    document.info.license = Some(License::new(env!("CARGO_PKG_LICENSE")));
    let token = SecurityScheme::Http(HttpBuilder::new().scheme(HttpAuthScheme::Bearer).build());
    let components = document.components.get_or_insert_default();
    components.add_security_scheme("token", token);
    // Inside the events of a stream, where no route names them.
    let mut told = Vec::new();
    add_schema::<PrecheckBegun>(&mut told);
    add_schema::<PrecheckEnded>(&mut told);
    // What a webhook is told.
    add_schema::<IncidentNotice>(&mut told);
    components.schemas.extend(told);
    document.security = Some(vec![SecurityRequirement::new("token", [""; 0])]);
    for item in document.paths.paths.values_mut() {
        describe_headers(item);
    }
}

fn add_schema<T: ToSchema>(schemas: &mut Vec<(String, RefOr<Schema>)>) {
    T::schemas(schemas);
    schemas.push((T::name().into_owned(), T::schema()));
}

/// A thing that can be changed on condition of its version tells the version with each answer that shows it. Whatever
/// may change something can have a key.
fn describe_headers(item: &mut PathItem) {
    let changing = [&item.put, &item.post, &item.patch, &item.delete];
    let is_versioned = changing.into_iter().flatten().any(is_conditional);
    if let Some(operation) = item.get.as_mut().filter(|_get| is_versioned) {
        tell_version(operation);
    }
    let changing = [
        &mut item.put,
        &mut item.post,
        &mut item.patch,
        &mut item.delete,
    ];
    for operation in changing.into_iter().flatten() {
        let is_conditional = is_conditional(operation);
        if is_conditional {
            tell_version(operation);
            add_problem(operation, "412", "Another version of it was meant");
        }
        let parameters = operation.parameters.get_or_insert_default();
        if !parameters
            .iter()
            .any(|given| is_header(given, IDEMPOTENCY_KEY))
        {
            parameters.push(RefOr::T(key_parameter()));
        }
        let detail = "The state of what it is about forbids it; or the key was used with another request, or the same one is being answered";
        add_problem(operation, "409", detail);
        add_problem(
            operation,
            "422",
            "A value that cannot be taken, with its field",
        );
    }
}

fn is_conditional(operation: &Operation) -> bool {
    let mut parameters = operation.parameters.iter().flatten();
    parameters.any(|given| is_header(given, IF_MATCH))
}

fn is_header(parameter: &RefOr<Parameter>, name: &str) -> bool {
    match parameter {
        RefOr::T(parameter) => {
            parameter.name == name && parameter.parameter_in == ParameterIn::Header
        }
        RefOr::Ref(_) => false,
    }
}

fn key_parameter() -> Parameter {
    let text = ObjectBuilder::new()
        .schema_type(Type::String)
        .min_length(Some(1))
        .max_length(Some(KEY_CHARACTERS_MAX))
        // Printable ASCII.
        .pattern(Some("^[!-~]+$"));
    ParameterBuilder::new()
        .name(IDEMPOTENCY_KEY)
        .parameter_in(ParameterIn::Header)
        .required(Required::False)
        .description(Some(
            "A random key of the sender's. For a day, the same request with the same key is answered as the first time.",
        ))
        .schema(Some(text))
        .build()
}

/// In each answer with a body.
fn tell_version(operation: &mut Operation) {
    for status in ["200", "201"] {
        if let Some(RefOr::T(response)) = operation.responses.responses.get_mut(status) {
            response.headers.insert("ETag".to_owned(), RefOr::T(etag()));
        }
    }
}

fn etag() -> Header {
    let text = ObjectBuilder::new().schema_type(Type::String);
    HeaderBuilder::new()
        .schema(Some(text))
        .description(Some(
            "The version that is shown: sent in If-Match, a change is made on no other.",
        ))
        .build()
}

fn add_problem(operation: &mut Operation, status: &str, detail: &str) {
    let problem = Ref::from_schema_name(ProblemBody::name());
    let response: Response = ResponseBuilder::new()
        .description(detail)
        .content("application/problem+json", Content::new(Some(problem)))
        .build();
    let responses = &mut operation.responses.responses;
    responses
        .entry(status.to_owned())
        .or_insert_with(|| RefOr::T(response));
}
