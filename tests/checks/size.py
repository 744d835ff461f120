#!/usr/bin/env python3
"""Keeps files and functions short, and things out of the tree that belong to one machine.

Why: a written rule about size does not hold without a gate, and a stranger can prove a file right only
where it fits on a few screens. A path or a host of one machine in the tree breaks every other one.

    python3 tests/checks/size.py              checks this tree: one line per finding, exit code 1
    python3 tests/checks/size.py --self-test  shows that each rule fails on a violation
"""

import re
import subprocess
import sys
import tempfile
from pathlib import Path

ROOTS = ("proto", "shared", "services", "tests")
SKIPPED_FOLDERS = {".git", "target", "node_modules", "dist"}

FILE_LINES_MAX = 500
# lib.rs is a contents page, main.rs an entry; in tests/it a main.rs is a list of modules.
FILE_LINES_MAX_BY_NAME = {"lib.rs": 150, "main.rs": 40}
FUNCTION_LINES_MAX = 70

# A name that excludes nothing collects everything.
FORBIDDEN_NAMES = {
    "common.rs", "helpers.rs", "misc.rs", "mod.rs", "models.rs", "types.rs", "util.rs", "utils.rs",
}

FUNCTION = re.compile(
    r"^(?P<indent>\s*)(pub(\([^)]*\))? )?(const )?(async )?(unsafe )?(extern \"C\" )?fn (?P<name>\w+)"
)
INLINE_TESTS = re.compile(r"mod \w+ \{")


def words(*pairs):
    """Joins parts, so that this file does not contain what it forbids."""
    return [left + right for left, right in pairs]


MACHINE_PATHS = re.compile(
    r"(?<![\w.~$}/-])/(?:" + "|".join(words(("wo", "rk"), ("ro", "ot"), ("ho", "me"), ("Us", "ers"))) + r")/[\w.-]"
)
REGISTRY_HOSTS = words(
    ("crates", ".io"), ("docker", ".io"), ("gcr", ".io"), ("ghcr", ".io"), ("quay", ".io"), ("pypi", ".org"),
    ("npmjs", ".org"), ("npmjs", ".com"), ("yarnpkg", ".com"), ("pythonhosted", ".org"), ("pkg", ".dev"),
    ("golang", ".org"), ("jfrog", ".io"), ("artifact", "ory"), ("debian", ".org"), ("alpinelinux", ".org"),
)
REGISTRY_HOST = re.compile(
    r"(?<![\w-])(?:[\w-]+\.)*(?:" + "|".join(map(re.escape, REGISTRY_HOSTS)) + r")(?![\w-])"
)
# A lock file names where a package came from; the public index is the one that works for everybody.
LOCK_FILES = {
    "Cargo.lock": words(("registry+https://github.com/rust-lang/crates", ".io-index")),
    "package-lock.json": words(("https://registry.np", "mjs.org/")),
}
LOCK_SOURCE = re.compile(r"^\s*\"?(?:source|resolved)\"?\s*[=:]\s*\"(?P<source>[^\"]*)")
UNFINISHED = words(("to", "do!("), ("unimple", "mented!("))


def below(root, folder):
    """Files below a folder that are no build output."""
    for path in sorted((root / folder).rglob("*")):
        inside = path.relative_to(root)
        if path.is_file() and not SKIPPED_FOLDERS & set(inside.parts):
            yield inside


def tracked(root):
    """Files that are, or with the next commit would be, in the repository."""
    if not (root / ".git").exists():
        return list(below(root, "."))
    command = ["git", "-C", str(root), "ls-files", "-z", "--cached", "--others", "--exclude-standard"]
    names = subprocess.check_output(command, text=True).split("\0")
    return [Path(name) for name in sorted(set(names)) if name and (root / name).is_file()]


def production_lines(lines):
    """Number of lines before the inline tests."""
    for number, line in enumerate(lines[:-1]):
        if line.startswith("#[cfg(test)]") and INLINE_TESTS.match(lines[number + 1]):
            return number
    return len(lines)


def function_end(lines, start, indent):
    """Index of a function's last line; rustfmt puts it at the indent of the first."""
    for number in range(start + 1, len(lines)):
        line = lines[number].rstrip()
        if line == indent + "}" or (line.startswith(indent + ")") and line.endswith(";")):
            return number
    return start


def long_functions(path, lines):
    for number, line in enumerate(lines):
        found = FUNCTION.match(line)
        if not found or line.rstrip().endswith(("}", ";")):
            continue
        length = function_end(lines, number, found["indent"]) - number + 1
        if length > FUNCTION_LINES_MAX:
            yield f"{path}:{number + 1}: fn {found['name']} has {length} lines, more than {FUNCTION_LINES_MAX}"


def size_findings(root):
    for folder in ROOTS:
        for path in below(root, folder):
            if path.suffix != ".rs":
                continue
            lines = (root / path).read_text(encoding="utf-8").splitlines()
            length = production_lines(lines)
            limit = FILE_LINES_MAX_BY_NAME.get(path.name, FILE_LINES_MAX)
            if length > limit:
                yield f"{path}: {length} lines before its tests, more than {limit}"
            if path.name in FORBIDDEN_NAMES:
                yield f"{path}: the name says nothing about the content"
            yield from long_functions(path, lines)


def line_findings(path, line):
    if MACHINE_PATHS.search(line):
        yield "names a path of one machine"
    sources = LOCK_FILES.get(path.name)
    if sources is None:
        host = REGISTRY_HOST.search(line)
        if host:
            yield f"names the registry host {host[0]}"
    else:
        found = LOCK_SOURCE.match(line)
        if found and not found["source"].startswith(tuple(sources)):
            yield f"takes a package from {found['source']}, not from the public index"
    for word in UNFINISHED:
        if word in line:
            yield f"contains {word})"


def text_findings(root):
    for path in tracked(root):
        try:
            text = (root / path).read_text(encoding="utf-8")
        except UnicodeDecodeError:
            continue
        for number, line in enumerate(text.splitlines(), 1):
            for finding in line_findings(path, line):
                yield f"{path}:{number}: {finding}"


def findings(root):
    return [*size_findings(root), *text_findings(root)]


def body(lines):
    """A function of so many lines."""
    return "fn long() {\n" + "    step();\n" * (lines - 2) + "}\n"


def self_test():
    """Each violation, and the words of the finding it must cause; `None` where it is allowed."""
    index = LOCK_FILES["Cargo.lock"][0]
    inline_tests = "//\n" * 500 + "#[cfg(test)]\nmod tests {\n" + "    //\n" * 100 + "}\n"
    cases = [
        ("services/a/src/file.rs", "//\n" * 501, "501 lines"),
        ("services/a/src/file.rs", inline_tests, None),
        ("shared/a/src/lib.rs", "//\n" * 151, "more than 150"),
        ("services/a/src/main.rs", "//\n" * 41, "more than 40"),
        ("services/a/tests/it/main.rs", "//\n" * 41, "more than 40"),
        ("proto/src/long.rs", body(71), "fn long has 71 lines"),
        ("proto/src/long.rs", body(70), None),
        ("tests/tests/deep.rs", "mod tests {\n    pub(crate) async " + body(71).replace("\n}", "\n    }"), "71 lines"),
        ("shared/a/src/utils.rs", "", "says nothing"),
        ("shared/a/src/b/mod.rs", "", "says nothing"),
        ("README.md", "see /wo" + "rk/main\n", "path of one machine"),
        ("README.md", "see '/ho" + "me/me/main'\n", "path of one machine"),
        ("README.md", "https://rowcast.example/wo" + "rk/main and ~/ro" + "ot/x\n", None),
        ("docker-compose.yml", "image: " + REGISTRY_HOSTS[1] + "/library/nats\n", "registry host"),
        ("docs/a.md", "https://static." + REGISTRY_HOSTS[0] + "/x\n", "registry host"),
        ("Cargo.lock", f'source = "{index}"\n', None),
        ("Cargo.lock", 'source = "registry+https://mirror.example/index"\n', "public index"),
        ("proto/src/a.rs", "    " + UNFINISHED[0] + ")\n", "contains"),
        ("proto/src/a.rs", "    " + UNFINISHED[1] + ")\n", "contains"),
    ]
    wrong = []
    for number, (name, text, expected) in enumerate(cases, 1):
        with tempfile.TemporaryDirectory() as folder:
            path = Path(folder) / name
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(text, encoding="utf-8")
            found = findings(Path(folder))
        right = not found if expected is None else len(found) == 1 and expected in found[0]
        if not right:
            wrong.append(f"self-test {number}, {name}: expected {expected!r}, found {found}")
    return wrong, f"{len(cases)} cases hold"


def main():
    if sys.argv[1:] == ["--self-test"]:
        found, fine = self_test()
    elif not sys.argv[1:]:
        found, fine = findings(Path(__file__).resolve().parents[2]), "size, names and contents hold"
    else:
        sys.exit(__doc__)
    print("\n".join(found) or fine)
    sys.exit(bool(found))


if __name__ == "__main__":
    main()
