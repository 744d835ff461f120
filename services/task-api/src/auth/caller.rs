//! Who asks.

use axum::extract::FromRequestParts;
use axum::http::StatusCode;
use axum::http::request::Parts;
use rowcast_domain::TokenId;
use rowcast_proto::rest::{Role, Token};

use crate::error::ApiError;

/// Whose token is the one of the settings; no other token is called so.
pub(crate) const ADMIN: &str = "admin";

/// Who asks: the bearer of a token.
#[derive(Debug, Clone)]
pub(crate) struct Caller {
    name: String,
    /// Absent for the admin token.
    token: Option<TokenId>,
    role: Role,
    /// The resource groups whose tasks and sources there are for the caller; all tasks and sources where
    /// absent.
    scope: Option<Vec<String>>,
}

impl Caller {
    /// The bearer of the admin token.
    pub(crate) fn admin() -> Self {
        Self {
            name: ADMIN.to_owned(),
            token: None,
            role: Role::Admin,
            scope: None,
        }
    }

    /// The bearer of a token that still holds.
    pub(crate) fn of(token: Token) -> Self {
        Self {
            name: token.name,
            token: Some(token.id),
            role: token.role,
            scope: token.resource_groups,
        }
    }

    /// As histories and the audit log name the caller.
    pub(crate) fn actor(&self) -> String {
        format!("user:{}", self.name)
    }

    /// As the token is called.
    pub(crate) fn name(&self) -> &str {
        &self.name
    }

    pub(crate) fn token(&self) -> Option<&TokenId> {
        self.token.as_ref()
    }

    /// One name for each token, whatever it was called before.
    pub(crate) fn key(&self) -> &str {
        self.token.as_ref().map_or(ADMIN, TokenId::as_str)
    }

    pub(crate) fn role(&self) -> Role {
        self.role
    }

    /// The resource groups that the caller is bound to, if any.
    pub(crate) fn scope(&self) -> Option<&[String]> {
        self.scope.as_deref()
    }

    /// Whether what is of this resource group is there for the caller.
    pub(crate) fn sees(&self, group: Option<&str>) -> bool {
        let is_mine =
            |scope: &Vec<String>| group.is_some_and(|group| scope.iter().any(|mine| mine == group));
        self.scope.as_ref().is_none_or(is_mine)
    }

    /// Whether the caller may give something to this resource group.
    ///
    /// # Errors
    /// Names the groups to which it may.
    pub(crate) fn may_give_to(&self, group: Option<&str>) -> Result<(), ApiError> {
        if self.sees(group) {
            return Ok(());
        }
        let detail = match group {
            Some(group) => format!("the token may not give anything to the group {group:?}"),
            None => "the token may only make what belongs to one of its groups".to_owned(),
        };
        let groups = self.scope.as_deref().unwrap_or_default().join(", ");
        Err(
            ApiError::refused(StatusCode::FORBIDDEN, "outside_scope", detail)
                .field("resource_group")
                .repair(format!("Give one of: {groups}.")),
        )
    }
}

impl<S: Send + Sync> FromRequestParts<S> for Caller {
    type Rejection = ApiError;

    async fn from_request_parts(parts: &mut Parts, _state: &S) -> Result<Self, Self::Rejection> {
        let caller = parts.extensions.get::<Self>().cloned();
        caller.ok_or_else(|| ApiError::Unreadable("a route without authentication".to_owned()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_bound_caller_sees_its_groups_only() {
        let mut caller = Caller::admin();
        assert!(caller.sees(None) && caller.sees(Some("sales")));
        caller.scope = Some(vec!["sales".to_owned()]);
        assert!(caller.sees(Some("sales")));
        assert!(!caller.sees(None) && !caller.sees(Some("crm")) && !caller.sees(Some("")));
        assert!(caller.may_give_to(None).is_err() && caller.may_give_to(Some("sales")).is_ok());
        caller.scope = Some(Vec::new());
        assert!(!caller.sees(Some("sales")));
    }
}
