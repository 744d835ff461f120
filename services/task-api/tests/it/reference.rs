//! The description of the API, for people to read.

use reqwest::{Method, StatusCode};

use crate::fixture::{Api, send};

/// What the page names: the values of these attributes.
fn named(page: &str) -> Vec<&str> {
    let attributes = ["src=\"", "href=\""].into_iter();
    let values = attributes.flat_map(|attribute| page.split(attribute).skip(1));
    let values = values.filter_map(|rest| rest.split('"').next());
    values.filter(|value| *value != "data:,").collect()
}

#[tokio::test]
async fn the_reference_is_read_without_a_token_and_loads_nothing_from_elsewhere() {
    let api = Api::start().await;
    for path in ["/docs", "/api/v1/docs", "/api/v1/docs/viewer"] {
        let moved = api.page(path).await;
        assert_eq!(moved.url().path(), "/api/v1/docs/", "{path}");
        assert_eq!(moved.status(), StatusCode::OK, "{path}");
    }
    let page = api.page("/api/v1/docs/").await;
    let policy = page.headers()["content-security-policy"].to_str().unwrap();
    assert!(policy.starts_with("default-src 'none'; script-src 'self';"));
    assert!(policy.contains("connect-src 'self'"), "{policy}");
    let base = page.url().clone();
    let page = page.text().await.unwrap();
    // It asks for our description.
    assert!(page.contains("data-description=\"/api/v1/openapi.json\""));
    let names = named(&page);
    assert_eq!(names.len(), 4, "{names:?}");
    for name in names {
        let url = base.join(name).unwrap();
        assert_eq!(url.origin(), base.origin(), "{name} is not ours");
        let file = api.page(url.path()).await;
        assert_eq!(file.status(), StatusCode::OK, "{name}");
        let kind = file.headers()["content-type"].to_str().unwrap().to_owned();
        let known = ["text/css", "text/javascript", "application/json"];
        assert!(known.contains(&kind.as_str()), "{name}: {kind}");
        assert!(!file.bytes().await.unwrap().is_empty(), "{name}");
    }
    let missing = send(api.anonymous(Method::GET, "/docs/nothing.js")).await;
    missing.is_problem(StatusCode::NOT_FOUND, "no_such_route");
}
