#!/usr/bin/env python3
"""Keeps docker-compose.yml, the Dockerfile and the secrets in step with the services.

Why: nothing else reads these files until somebody starts the containers, and a misspelled variable is
silent: the service takes its default. Needs PyYAML and openssl, and fails where one is missing.

    python3 tests/checks/compose.py              checks this tree: one line per finding, exit code 1
    python3 tests/checks/compose.py --self-test  shows that each rule fails on a violation
"""

import copy
import json
import re
import subprocess
import sys
import tempfile
from pathlib import Path

try:
    import yaml
except ImportError:
    sys.exit("PyYAML is missing: python3 -m pip install pyyaml")

ROOT = Path(__file__).resolve().parents[2]
SERVICES = {"alerting", "billing", "capture", "consumer-group", "precheck", "task-api"}
SECRETS_FOLDER = "/run/secrets/"
MAKE_SECRETS = "shared/local/docker/make-secrets.sh"

# settings.optional("key", as config.rs reads one; then the reader it is given to, once per prefix.
KEY = re.compile(r"settings\s*\.(?P<how>required|optional|maybe|secret)(?:::<[^>]*>)?\(\s*\"(?P<key>\w+)\"")
PREFIXED_KEY = re.compile(r"settings\s*\.(?P<how>\w+)\(\s*&format!\(\"\{prefix\}(?P<key>\w+)\"")
PREFIX = re.compile(r"login\(\s*settings,[^\"]*\"(?P<prefix>\w*)\"")
FOREIGN = re.compile(r"\.foreign\(\"(?P<name>\w+)\"")
INTERPOLATED = re.compile(r"(?<!\$)\$\{(?P<name>\w+)(?P<default>:-[^}]*)?\}")


def text(name):
    return (ROOT / name).read_text(encoding="utf-8")


def variable(key):
    return "ROWCAST_" + key.upper()


class Settings:
    """What a service reads: variables, those that are secrets, and those that must be given."""

    def __init__(self, *sources):
        self.known, self.secrets, self.required = set(), set(), set()
        for source in sources:
            for found in KEY.finditer(source):
                self.add(found["how"], found["key"])
            prefixes = [found["prefix"] for found in PREFIX.finditer(source)]
            for found in PREFIXED_KEY.finditer(source):
                for prefix in prefixes:
                    self.add(found["how"], prefix + found["key"])
            self.known |= {found["name"] for found in FOREIGN.finditer(source)}

    def add(self, how, key):
        self.known.add(variable(key))
        if how == "secret":
            self.secrets.add(variable(key))
        if how in ("secret", "required"):
            self.required.add(variable(key))


def settings_of(service):
    shell = text("shared/service/src/run.rs")
    return Settings(text(f"services/{service}/src/config.rs"), shell)


def environment_findings(name, container, settings):
    given = set()
    for key, value in container.get("environment", {}).items():
        plain = key.removesuffix("_FILE")
        if plain != key and plain in settings.secrets:
            given.add(plain)
        elif key in settings.secrets:
            yield f"{name}: {key} is a secret and belongs in a file"
        elif key in settings.known:
            given.add(key)
        else:
            yield f"{name}: {key} ({value!r}) is no setting of the service"
    for key in sorted(settings.required - given):
        yield f"{name}: {key} is not given"


def secret_findings(name, container):
    listed = set(container.get("secrets", []))
    named = {
        value.removeprefix(SECRETS_FOLDER)
        for value in container.get("environment", {}).values()
        if value.startswith(SECRETS_FOLDER)
    }
    for secret in sorted(named - listed):
        yield f"{name}: the secret {secret} is named but not mounted"
    if name in SERVICES:
        for secret in sorted(listed - named):
            yield f"{name}: the secret {secret} is mounted but not named"


def hardening_findings(name, container):
    if container.get("read_only") is not True:
        yield f"{name}: the file system is not read-only"
    if container.get("cap_drop") != ["ALL"]:
        yield f"{name}: capabilities are not dropped"
    if "no-new-privileges:true" not in container.get("security_opt", []):
        yield f"{name}: new privileges are not ruled out"
    if "restart" not in container:
        yield f"{name}: no restart policy"


def waiting_findings(name, containers):
    for other, how in containers[name].get("depends_on", {}).items():
        if other not in containers:
            yield f"{name}: waits for {other}, which does not exist"
        elif how.get("condition") == "service_healthy":
            if "healthcheck" not in containers[other] and "build" not in containers[other]:
                yield f"{name}: waits for the health of {other}, which has no health check"
        elif how.get("condition") != "service_completed_successfully":
            yield f"{name}: waits for {other} without its health"


def used(containers, kind):
    """Names of top-level things that containers refer to."""
    names = set()
    for container in containers.values():
        for entry in container.get(kind, []):
            source = entry["source"] if isinstance(entry, dict) else str(entry)
            names.add(source.split(":")[0] if kind == "volumes" else source)
    return names


def declaration_findings(compose, made):
    for kind in ("networks", "volumes", "configs", "secrets"):
        declared = set(compose.get(kind, {}))
        mentioned = used(compose["services"], kind)
        for name in sorted(declared ^ mentioned):
            yield f"{kind}: {name} is {'not used' if name in declared else 'not declared'}"
    for name, config in compose["configs"].items():
        if not (ROOT / config["file"]).is_file():
            yield f"configs: {name}: there is no file {config['file']}"
    files = {secret["file"] for secret in compose["secrets"].values()}
    for name in sorted(files ^ {f"./secrets/{name}" for name in made}):
        yield f"secrets: {name} is {'not made by ' + MAKE_SECRETS if name in files else 'made but not declared'}"


def nats_findings(container):
    """nats.sh gives one variable per secret; the rest stands in the environment."""
    wanted = set(re.findall(r"\$(ROWCAST_\w+)", text("shared/bus/nats.conf")))
    given = set(container["environment"])
    for secret in container["secrets"]:
        if secret.startswith("nats-"):
            given.add(variable("nats_password_" + secret.removeprefix("nats-").replace("-", "_")))
        elif secret == "callout-issuer":
            given.add(variable("nats_callout_issuer"))
    for name in sorted(wanted ^ given):
        yield f"nats: {name} is {'not given' if name in wanted else 'not in nats.conf'}"


def example_findings(source, example):
    """.env.example lists what may be set, each with the default that stands in the compose file."""
    defaults = {found["name"]: found["default"] for found in INTERPOLATED.finditer(source)}
    lines = [line for line in example.splitlines() if line and not line.startswith("#")]
    listed = {name: ":-" + value for name, _, value in (line.partition("=") for line in lines)}
    for name in sorted(set(defaults) | set(listed)):
        if defaults.get(name) != listed.get(name):
            yield f".env.example: {name} is {listed.get(name)}, in docker-compose.yml {defaults.get(name)}"


def image_findings(containers, dockerfile):
    built = {name for name, container in containers.items() if "build" in container}
    if built != SERVICES:
        yield f"services built are {sorted(built)}, not {sorted(SERVICES)}"
    for name in sorted(built):
        if containers[name]["build"].get("args") != {"SERVICE": name}:
            yield f"{name}: the build argument SERVICE is not {name}"
    for name, container in containers.items():
        if not re.search(r":[\w.${}-]+$", container.get("image", "")) or container["image"].endswith(":latest"):
            yield f"{name}: the image has no version"
    for name in sorted(SERVICES):
        if f"-p {name}" not in dockerfile:
            yield f"Dockerfile: does not build {name}"
    version = re.search(r"channel = \"([\d.]+)\"", text("rust-toolchain.toml"))[1]
    if f"FROM rust:{version}-" not in dockerfile or f"RUSTUP_TOOLCHAIN={version}\n" not in dockerfile:
        yield f"Dockerfile: does not build with Rust {version} of rust-toolchain.toml"
    if not re.search(r"HEALTHCHECK[^[]*\[\"[\w/]+\", \"healthcheck\"\]", dockerfile):
        yield "Dockerfile: no health check"


def findings(compose, source, dockerfile, example, made):
    containers = compose["services"]
    yield from twice(yaml.compose(source))
    yield from image_findings(containers, dockerfile)
    for name in sorted(SERVICES & set(containers)):
        yield from environment_findings(name, containers[name], settings_of(name))
    for name, container in containers.items():
        yield from secret_findings(name, container)
        yield from hardening_findings(name, container)
        yield from waiting_findings(name, containers)
    yield from declaration_findings(compose, made)
    yield from nats_findings(containers["nats"])
    yield from example_findings(source, example)


def secrets_made():
    with tempfile.TemporaryDirectory() as folder:
        subprocess.run(["sh", str(ROOT / MAKE_SECRETS), folder], check=True)
        return {path.name for path in Path(folder).iterdir()}


def twice(node):
    """Keys that stand twice in a mapping: Compose refuses them, the YAML reader here does not."""
    if isinstance(node, yaml.MappingNode):
        keys = [key.value for key, _ in node.value]
        for key in sorted({key for key in keys if keys.count(key) > 1}):
            yield f"line {node.start_mark.line + 1}: the key {key} stands twice"
        for _, value in node.value:
            yield from twice(value)
    elif isinstance(node, yaml.SequenceNode):
        for value in node.value:
            yield from twice(value)


def violations():
    """Name of a rule's words, and a change to the compose file that must cause the finding."""
    return [
        ("no setting", lambda c: c["billing"]["environment"].update(ROWCAST_NATS_URLS="x")),
        ("not given", lambda c: c["capture"]["environment"].pop("ROWCAST_NATS_MONITOR_URL")),
        ("not given", lambda c: c["consumer-group"]["environment"].pop("ROWCAST_SYS_NATS_PASSWORD_FILE")),
        ("belongs in a file", lambda c: c["billing"]["environment"].update(ROWCAST_DATABASE_URL="x")),
        ("named but not mounted", lambda c: c["billing"]["secrets"].pop()),
        ("mounted but not named", lambda c: c["billing"]["secrets"].append("secret-key")),
        ("not read-only", lambda c: c["nats"].pop("read_only")),
        ("not dropped", lambda c: c["nats"].pop("cap_drop")),
        ("not ruled out", lambda c: c["nats"].pop("security_opt")),
        ("no restart policy", lambda c: c["nats"].pop("restart")),
        ("no health check", lambda c: c["nats"].pop("healthcheck")),
        ("does not exist", lambda c: c["billing"]["depends_on"].update(redis={})),
        ("not declared", lambda c: c["nats"]["secrets"].append("nats-stranger")),
        ("not used", lambda c: c["demo-source"].pop("volumes")),
        ("nats: ROWCAST_NATS_STORE", lambda c: c["nats"]["environment"].pop("ROWCAST_NATS_STORE")),
        ("services built", lambda c: c["billing"].pop("build")),
        ("build argument", lambda c: c["billing"]["build"].update(args={"SERVICE": "task-api"})),
        ("no version", lambda c: c["nats"].update(image="nats")),
    ]


def self_test(compose, source, dockerfile, example, made):
    for words, violate in violations():
        broken = copy.deepcopy(compose)
        violate(broken["services"])
        if not any(words in line for line in findings(broken, source, dockerfile, example, made)):
            yield f"self-test: nothing says {words!r}"
    others = [
        ("stands twice", (compose, source + "name: other\n", dockerfile, example, made)),
        ("not made by", (compose, source, dockerfile, example, made - {"secret-key"})),
        ("made but not declared", (compose, source, dockerfile, example, made | {"stranger"})),
        (".env.example", (compose, source, dockerfile, example + "\nROWCAST_OLD=1\n", made)),
        (".env.example", (compose, source.replace("API_PORT:-8080", "API_PORT:-8081"), dockerfile, example, made)),
        ("does not build billing", (compose, source, dockerfile.replace("-p billing", ""), example, made)),
        ("no health check", (compose, source, dockerfile.replace("HEALTHCHECK", "#"), example, made)),
        ("rust-toolchain", (compose, source, dockerfile.replace("rust:1", "rust:2"), example, made)),
    ]
    for words, state in others:
        if not any(words in line for line in findings(*state)):
            yield f"self-test: nothing says {words!r}"


def main():
    if sys.argv[1:] not in ([], ["--self-test"]):
        sys.exit(__doc__)
    source = text("docker-compose.yml")
    # By way of text: anchors share what they name, and a violation must touch one container only.
    compose = json.loads(json.dumps(yaml.safe_load(source)))
    state = (compose, source, text("Dockerfile"), text(".env.example"), secrets_made())
    if sys.argv[1:]:
        found, fine = list(self_test(*state)), "every rule fails on its violation"
    else:
        found, fine = list(findings(*state)), "containers, settings and secrets agree"
    print("\n".join(found) or fine)
    sys.exit(bool(found))


if __name__ == "__main__":
    main()
