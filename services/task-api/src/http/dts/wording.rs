//! Problems of our bodies, told of the parameters from which the bodies were made.

use crate::error::{ApiError, Refused};

/// Names a field as the caller gave it.
///
/// `names` holds a field of the body and the parameter that it came from; a field inside another goes by
/// the outer one, and what is told of it says where.
pub(super) fn of_parameters(error: ApiError, names: &[(&str, &str)]) -> ApiError {
    match error {
        ApiError::Refused(mut refused) => {
            if let Some(parameter) = refused.field.as_deref().and_then(|f| parameter(f, names)) {
                let Refused { field, .. } = &mut *refused;
                *field = Some(parameter.to_owned());
            }
            ApiError::Refused(refused)
        }
        ApiError::Invalid(mut issues) => {
            for issue in &mut issues {
                let Some(parameter) = parameter(&issue.field, names) else {
                    continue;
                };
                if issue.field.contains(['.', '[']) {
                    issue.detail = format!("{}: {}", issue.field, issue.detail);
                }
                parameter.clone_into(&mut issue.field);
            }
            ApiError::Invalid(issues)
        }
        ApiError::Nats(_)
        | ApiError::Transition(_)
        | ApiError::Ask(_)
        | ApiError::Database(_)
        | ApiError::Keyring(_)
        | ApiError::Unreadable(_)
        | ApiError::Panicked => error,
    }
}

fn parameter<'a>(field: &str, names: &[(&str, &'a str)]) -> Option<&'a str> {
    let is_part = |name: &str| {
        field
            .strip_prefix(name)
            .is_some_and(|rest| rest.is_empty() || rest.starts_with(['.', '[']))
    };
    let found = names.iter().find(|(name, _)| is_part(name));
    found.map(|(_, parameter)| *parameter)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::validate::Issue;

    #[test]
    fn a_field_is_told_by_its_parameter() {
        let issue = |field: &str| Issue {
            field: field.to_owned(),
            detail: "is wrong".to_owned(),
            repair: "Mend it.".to_owned(),
        };
        let fields = ["name", "objects.schemas[0].name", "objectsx", "port"];
        let error = ApiError::Invalid(fields.map(issue).to_vec());
        let names = [("name", "DtsJobName"), ("objects", "DbList")];
        let ApiError::Invalid(told) = of_parameters(error, &names) else {
            panic!("is no longer a problem of a body");
        };
        let fields: Vec<&str> = told.iter().map(|issue| issue.field.as_str()).collect();
        assert_eq!(fields, ["DtsJobName", "DbList", "objectsx", "port"]);
        assert_eq!(told[1].detail, "objects.schemas[0].name: is wrong");
    }
}
