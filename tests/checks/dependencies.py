#!/usr/bin/env python3
"""Keeps the arrows between our packages, and the owners of a few external ones.

Why: services meet in proto and on NATS only; the moment one imports another, or two speak to NATS in their
own way, they can no longer be changed one at a time. The manifests say what is imported, so they are checked.

    python3 tests/checks/dependencies.py              checks this workspace: one line per finding, exit code 1
    python3 tests/checks/dependencies.py --self-test  shows that each rule fails on a violation
"""

import json
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]

DOMAIN, PROTO, PG, BUS = "rowcast-domain", "rowcast-proto", "rowcast-pg", "rowcast-bus"
SERVICE, TELEMETRY = "rowcast-service", "rowcast-telemetry"
CLIENT, LOCAL, TESTKIT = "rowcast-client", "rowcast-local", "rowcast-testkit"
ETL = "rowcast-etl"
CLI, E2E, BENCH = "rowcast-cli", "rowcast-e2e", "rowcast-bench"

# What each package may depend on. A package that is not here is a service.
ALLOWED = {
    DOMAIN: set(),
    TELEMETRY: set(),
    ETL: {DOMAIN},
    PROTO: {DOMAIN},
    PG: {DOMAIN},
    LOCAL: {DOMAIN},
    SERVICE: {TELEMETRY, DOMAIN},
    BUS: {DOMAIN, PROTO},
    CLIENT: {PROTO, DOMAIN},
    TESTKIT: {DOMAIN, PROTO, LOCAL},
    CLI: {CLIENT, DOMAIN, LOCAL, PROTO},
    E2E: {CLIENT, DOMAIN, LOCAL, PROTO},
    BENCH: {CLIENT, DOMAIN, E2E, LOCAL, PROTO},
}
ALLOWED_TO_SERVICES = {DOMAIN, ETL, PROTO, BUS, PG, SERVICE, TELEMETRY}
# Tests may also use what starts real servers, and speak the wire contracts.
ALLOWED_TO_TESTS = {TESTKIT, LOCAL, PROTO, DOMAIN}

# Packages that hold nothing but tests and measurements.
TESTS_ALONE = {E2E, BENCH}

SERVICES = {"alerting", "billing", "capture", "consumer-group", "precheck", "task-api"}

# Who may use an external package outside tests. A name that ends in `*` stands for all that start so.
OWNERS = {
    "async-nats": {BUS, CLIENT, TESTKIT, E2E, BENCH},
    "tokio-postgres": {PG, "capture", TESTKIT, LOCAL, CLI, E2E, BENCH},
    "sqlx": {"task-api", "consumer-group", "billing", "alerting", SERVICE},
    # In alerting's tests it is a webhook.
    "axum": {"task-api", "alerting", SERVICE, E2E},
    "opentelemetry*": {TELEMETRY, BUS},
    "tracing-opentelemetry": {TELEMETRY, BUS},
}
# Only a service tests against these by way of its own store or routes; nobody else needs them in tests.
OWNED_IN_TESTS_TOO = {"sqlx", "axum"}


def metadata():
    command = ["cargo", "metadata", "--no-deps", "--offline", "--format-version=1"]
    return json.loads(subprocess.check_output(command, cwd=ROOT))["packages"]


def rule_of(name):
    """The name under which `OWNERS` lists an external package, if it does."""
    for rule in OWNERS:
        if name == rule or (rule.endswith("*") and name.startswith(rule[:-1])):
            return rule
    return None


def own_finding(package, dependency, kind):
    if dependency == TESTKIT and kind != "dev":
        return f"{package} -> {dependency}: the testkit is a dev-dependency only"
    allowed = set(ALLOWED.get(package, ALLOWED_TO_SERVICES))
    if kind == "dev":
        allowed |= ALLOWED_TO_TESTS
    if dependency not in allowed:
        return f"{package} -> {dependency} ({kind}): against the direction of dependencies"
    return None


def external_finding(package, dependency, kind):
    rule = rule_of(dependency)
    if rule is None or package in OWNERS[rule]:
        return None
    if kind == "dev" and rule not in OWNED_IN_TESTS_TOO:
        return None
    return f"{package} -> {dependency} ({kind}): only {', '.join(sorted(OWNERS[rule]))} may use it"


def findings(packages):
    """One line per dependency that breaks a rule."""
    ours = {package["name"] for package in packages}
    for package in packages:
        name = package["name"]
        if name not in ALLOWED and name not in SERVICES:
            yield f"{name}: an unknown package; add it to {Path(__file__).name}"
        for dependency in package["dependencies"]:
            # All of these packages is tests.
            kind = "dev" if name in TESTS_ALONE else dependency["kind"] or "normal"
            check = own_finding if dependency["name"] in ours else external_finding
            finding = check(name, dependency["name"], kind)
            if finding:
                yield finding


def self_test(packages):
    """Adds one dependency at a time to the workspace; each must, or must not, be a finding."""
    cases = [
        (DOMAIN, PROTO, None, True),
        (TELEMETRY, DOMAIN, None, True),
        (ETL, PROTO, None, True),
        ("capture", ETL, None, False),
        (PROTO, BUS, None, True),
        (PROTO, BUS, "build", True),
        (PG, PROTO, None, True),
        (LOCAL, PROTO, None, True),
        (SERVICE, BUS, None, True),
        (BUS, PG, None, True),
        (CLIENT, BUS, None, True),
        (TESTKIT, BUS, None, True),
        (CLI, BUS, None, True),
        (E2E, BUS, "dev", True),
        (E2E, "task-api", "dev", True),
        (E2E, TESTKIT, None, False),
        (E2E, "opentelemetry-proto", None, False),
        (E2E, "sqlx", None, True),
        (BENCH, TESTKIT, None, False),
        (BENCH, "capture", None, True),
        ("billing", "capture", None, True),
        ("billing", "capture", "dev", True),
        ("billing", CLIENT, None, True),
        ("billing", LOCAL, None, True),
        ("billing", TESTKIT, None, True),
        ("billing", TESTKIT, "dev", False),
        ("billing", PG, None, False),
        ("billing", "async-nats", None, True),
        ("billing", "async-nats", "dev", False),
        (CLI, "async-nats", None, True),
        ("precheck", "tokio-postgres", None, True),
        ("precheck", "tokio-postgres", "dev", False),
        ("capture", "sqlx", None, True),
        (CLI, "sqlx", "dev", True),
        ("billing", "axum", None, True),
        ("billing", "opentelemetry", None, True),
        ("billing", "opentelemetry-otlp", None, True),
        ("billing", "opentelemetry_sdk", "dev", False),
        ("billing", "tracing-opentelemetry", None, True),
        ("stranger", DOMAIN, None, True),
    ]
    names = [package["name"] for package in packages]
    bare = [{"name": name, "dependencies": []} for name in names]
    for package, dependency, kind, wrong in cases:
        broken = {"name": package, "dependencies": [{"name": dependency, "kind": kind}]}
        found = list(findings([broken, *(one for one in bare if one["name"] != package)]))
        if bool(found) != wrong:
            yield f"self-test: {package} -> {dependency} ({kind or 'normal'}): {found or 'no finding'}"
    missing = (set(ALLOWED) | SERVICES) - set(names)
    if missing:
        yield f"rules for packages that do not exist: {', '.join(sorted(missing))}"


def main():
    if sys.argv[1:] == ["--self-test"]:
        found, fine = list(self_test(metadata())), "every rule fails on its violation"
    elif not sys.argv[1:]:
        found, fine = list(findings(metadata())), "the direction of dependencies holds"
    else:
        sys.exit(__doc__)
    print("\n".join(found) or fine)
    sys.exit(bool(found))


if __name__ == "__main__":
    main()
