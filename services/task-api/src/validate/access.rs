//! Tokens.

use std::ops::RangeInclusive;

use chrono::{DateTime, Utc};
use rowcast_proto::rest::{CreateToken, Role};

use super::Issues;
use crate::error::ApiError;

const GROUPS: RangeInclusive<usize> = 1..=20;

/// # Errors
/// Every problem of the body.
pub(crate) fn token(body: &CreateToken, now: DateTime<Utc>) -> Result<(), ApiError> {
    let mut issues = Issues::default();
    issues.name("name", &body.name);
    if let Some(groups) = &body.resource_groups {
        if body.role == Role::Admin {
            let detail =
                "an admin is not bound to resource groups: it could make itself a free token";
            let repair = "Leave it out, or give the role operator or viewer.";
            issues.note("resource_groups", detail, repair);
        }
        if !GROUPS.contains(&groups.len()) {
            let detail = format!("has {} names, but must have 1 to 20", groups.len());
            issues.note("resource_groups", detail, "Leave it out for all.");
        }
        issues.unique("resource_groups", groups);
        for (index, name) in groups.iter().enumerate() {
            issues.name(&format!("resource_groups[{index}]"), name);
        }
    }
    if body.expires_at.is_some_and(|end| end <= now) {
        let repair = "Give a time to come, or leave it out for a token without an end.";
        issues.note("expires_at", "is over", repair);
    }
    issues.finish()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn fields(body: &str) -> Vec<String> {
        let body = serde_json::from_str(body).unwrap();
        match token(&body, DateTime::UNIX_EPOCH) {
            Ok(()) => Vec::new(),
            Err(ApiError::Invalid(issues)) => issues.into_iter().map(|issue| issue.field).collect(),
            Err(other) => panic!("{other:?}"),
        }
    }

    #[test]
    fn a_token_has_a_name_and_bounds_that_hold() {
        assert!(
            fields(r#"{"name": "ci", "role": "operator", "resource_groups": ["sales"]}"#)
                .is_empty()
        );
        assert_eq!(fields(r#"{"name": "", "role": "viewer"}"#), ["name"]);
        for (role, groups, field) in [
            ("admin", r#"["sales"]"#, "resource_groups"),
            ("viewer", "[]", "resource_groups"),
            ("viewer", r#"["a", "a"]"#, "resource_groups"),
            ("viewer", r#"[" a"]"#, "resource_groups[0]"),
        ] {
            let body =
                format!(r#"{{"name": "ci", "role": "{role}", "resource_groups": {groups}}}"#);
            assert_eq!(fields(&body), [field]);
        }
        let over = r#"{"name": "ci", "role": "viewer", "expires_at": "1969-12-31T00:00:00Z"}"#;
        assert_eq!(fields(over), ["expires_at"]);
    }
}
