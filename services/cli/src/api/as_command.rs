//! What the API says to do next, as who types commands does it.

/// Routes that repairs of the API name, and the command that asks for each. Where one begins another, the longer stands
/// first.
const COMMANDS: [(&str, &str); 17] = [
    (
        "POST /api/v1/tasks/{id}/precheck/ignore",
        "rowcast task ignore-alerts",
    ),
    ("POST /api/v1/tasks/{id}/precheck", "rowcast task precheck"),
    (
        "GET /api/v1/tasks/{id}/precheck",
        "rowcast task precheck --last",
    ),
    ("POST /api/v1/tasks/{id}/recheck", "rowcast task recheck"),
    ("POST /api/v1/tasks/{id}/purchase", "rowcast task purchase"),
    ("POST /api/v1/tasks/{id}/renew", "rowcast task renew"),
    ("POST /api/v1/tasks/{id}/start", "rowcast task start"),
    ("POST /api/v1/tasks/{id}/suspend", "rowcast task suspend"),
    ("POST /api/v1/tasks/{id}/resume", "rowcast task resume"),
    ("POST /api/v1/tasks/{id}/reset", "rowcast task reset"),
    ("POST /api/v1/tasks/{id}/release", "rowcast task release"),
    ("PUT /api/v1/tasks/{id}/objects", "rowcast task objects"),
    ("PATCH /api/v1/tasks/{id}", "rowcast task update"),
    ("POST /api/v1/sources/{id}/test", "rowcast source test"),
    ("PATCH /api/v1/sources/{id}", "rowcast source update"),
    ("POST /api/v1/tokens", "rowcast token create"),
    ("GET /api/v1/tasks", "rowcast task list"),
];

/// The text with commands in the place of routes; a route that is not known here stays.
pub(super) fn as_commands(text: &str) -> String {
    COMMANDS
        .into_iter()
        .fold(text.to_owned(), |text, (route, command)| {
            text.replace(route, &format!("`{command}`"))
        })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_route_is_told_as_its_command() {
        for (text, told) in [
            (
                "Buy one: POST /api/v1/tasks/{id}/purchase.",
                "Buy one: `rowcast task purchase`.",
            ),
            (
                "POST /api/v1/tasks/{id}/precheck/ignore or POST /api/v1/tasks/{id}/precheck",
                "`rowcast task ignore-alerts` or `rowcast task precheck`",
            ),
            ("See /api/v1/openapi.json.", "See /api/v1/openapi.json."),
        ] {
            assert_eq!(as_commands(text), told);
        }
    }

    #[test]
    fn no_route_takes_a_longer_one_apart() {
        for (place, (route, _command)) in COMMANDS.iter().enumerate() {
            let before = COMMANDS.iter().take(place);
            for (shorter, _command) in before {
                assert!(
                    !route.starts_with(shorter),
                    "{shorter} stands before {route}"
                );
            }
        }
    }
}
