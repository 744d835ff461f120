#!/usr/bin/env python3
"""Keeps the types of the TypeScript samples right, by the compiler: among themselves, and beside the contract.

Why: users copy these programs and their types. A type that has a member too few, or one that is never sent, leads them
astray and no run of a sample shows it. So each stored sample of a message and of a connection document (proto/golden) is
read as a value of the type that docs/samples/change.ts has for it. Needs the packages of docs/samples, which `./dev check`
installs, and fails where they are missing.

    python3 tests/checks/typescript.py              checks this tree: one line per finding, exit code 1
    python3 tests/checks/typescript.py --self-test  shows that each rule fails on a violation
"""

import re
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
SAMPLES = ROOT / "docs/samples"
PACKAGES = ROOT / ".tools/node/node_modules"
COMPILER = PACKAGES / "typescript/bin/tsc"

# Stored samples, and the type of each.
GOLDEN = {"proto/golden/change/Change.*.json": "Sent", "proto/golden/rest/GroupConnection.*.json": "Connection"}

FINDING = re.compile(r"^(?P<file>[^\s(]+)\((?P<line>\d+),\d+\): (?P<text>error .*)$")


def value(type_name, json_text):
    """A module that the compiler refuses where this is not of the type, or has a member that the type does not know."""
    return f'import type {{ {type_name} }} from "./change.ts";\nexport const value: {type_name} =\n{json_text};\n'


def golden():
    """Modules by name, and where each is from."""
    modules, origins = {}, {}
    for pattern, type_name in GOLDEN.items():
        stored = sorted(ROOT.glob(pattern))
        if not stored:
            sys.exit(f"{pattern}: no stored sample has such a name")
        for path in stored:
            name = f"{path.stem}.ts"
            modules[name] = value(type_name, path.read_text(encoding="utf-8").rstrip())
            origins[name] = path.relative_to(ROOT)
    return modules, origins


def compiled(modules):
    """What the compiler says of the samples and these modules: file, line and text."""
    with tempfile.TemporaryDirectory() as folder:
        folder = Path(folder)
        for file in [*SAMPLES.glob("*.ts"), SAMPLES / "package.json", SAMPLES / "tsconfig.json"]:
            shutil.copy(file, folder)
        # Both the compiler and Node.js find packages beside the programs.
        (folder / "node_modules").symlink_to(PACKAGES)
        for name, text in modules.items():
            (folder / name).write_text(text, encoding="utf-8")
        command = ["node", str(COMPILER), "--project", ".", "--pretty", "false"]
        run = subprocess.run(command, cwd=folder, capture_output=True, text=True, check=False)
    found = []
    for line in (run.stdout + run.stderr).splitlines():
        finding = FINDING.match(line)
        if finding:
            found.append((finding["file"], int(finding["line"]), finding["text"]))
        elif found and line.startswith(" "):
            # What follows says more of the same.
            file, number, text = found.pop()
            found.append((file, number, f"{text} {line.strip()}"))
        elif line.strip():
            found.append(("tsconfig.json", 1, line.strip()))
    if run.returncode != 0 and not found:
        found.append(("tsconfig.json", 1, f"the compiler ended with {run.returncode}"))
    return found


def findings():
    modules, origins = golden()
    for file, line, text in compiled(modules):
        path = origins.get(file)
        if path is None:
            yield f"docs/samples/{file}:{line}: {text}"
        else:
            yield f"{path}: does not fit docs/samples/change.ts: {text}"


INSERT = (
    '{"id":"0/16B3748.1","op":"insert","ordinal":1,"database":"shop","lsn":"0/16B3748","xid":742,'
    '"committed_at":"2026-11-23T05:33:10.123456Z","schema":"public","table":"orders","schema_id":"orders-7f3a",'
    '"key":{"id":42},"after":{"id":42}}'
)


def self_test():
    """A module each, and what the finding must match; `None` where it is allowed."""
    types = 'import type { Sent } from "./change.ts";\n'
    cases = [
        (value("Sent", INSERT), None),
        (value("Sent", INSERT.replace('"key"', '"keys"')), "keys.* does not exist"),
        (value("Sent", INSERT.replace('"database":"shop",', "")), "'database' is missing"),
        (value("Sent", INSERT.replace('"insert"', '"upsert"')), "not assignable"),
        (types + 'export const after = (sent: Sent) => (sent.op === "insert" ? sent.after : null);\n', None),
        (types + "export const after = (sent: Sent) => sent.after;\n", "'after' does not exist"),
        (types + 'export const after = (sent: Sent) => sent.op === "delete" && sent.after;\n', "'after' does not exist"),
        ("export const length = (text: string | undefined) => text.length;\n", "possibly 'undefined'"),
        ('import { connect } from "nats";\nexport const client = connect({ server: "" });\n', "'server' does not exist"),
    ]
    modules = {f"case{number}.ts": text for number, (text, _expected) in enumerate(cases, 1)}
    found = compiled(modules)
    wrong = []
    for number, (_text, expected) in enumerate(cases, 1):
        of_case = [text for file, _line, text in found if file == f"case{number}.ts"]
        right = not of_case if expected is None else len(of_case) == 1 and re.search(expected, of_case[0])
        if not right:
            wrong.append(f"self-test {number}: expected {expected!r}, found {of_case}")
    return wrong, f"{len(cases)} cases hold"


def main():
    if not COMPILER.is_file():
        sys.exit(f"{COMPILER.relative_to(ROOT)} is missing: run './dev check', which installs it")
    if sys.argv[1:] == ["--self-test"]:
        found, fine = self_test()
    elif not sys.argv[1:]:
        found, fine = list(findings()), "the types of the samples hold"
    else:
        sys.exit(__doc__)
    print("\n".join(found) or fine)
    sys.exit(bool(found))


if __name__ == "__main__":
    main()
