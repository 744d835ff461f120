#!/usr/bin/env python3
"""Keeps what docs/ quotes the same as the programs that the tests run.

Why: a program in a text is copied by its readers and run by nobody else. A comment with a path, `<!-- docs/samples/a.py -->`,
says that the code block below it is that file, to the letter; each program and transcript of docs/samples stands in such a block.

    python3 tests/checks/samples.py              checks this workspace: one line per finding, exit code 1
    python3 tests/checks/samples.py --write      puts the files into the texts
    python3 tests/checks/samples.py --self-test  shows that each rule fails on a violation
"""

import re
import sys
import tempfile
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]

QUOTE = re.compile(r"^<!-- (?P<path>\S+) -->\n(?P<fence>```+)(?P<language>\w*)\n(?P<text>.*?)^(?P=fence)$", re.M | re.S)
PROGRAMS = (".py", ".ts", ".console")


def texts(root):
    return sorted([*root.glob("docs/*.md"), root / "README.md"])


def findings(root):
    quoted = set()
    for text in texts(root):
        if not text.is_file():
            continue
        where = text.relative_to(root)
        for quote in QUOTE.finditer(text.read_text(encoding="utf-8")):
            path = quote["path"]
            quoted.add(path)
            if not (root / path).is_file():
                yield f"{where}: quotes {path}, which is not there"
            elif (root / path).read_text(encoding="utf-8") != quote["text"]:
                yield f"{where}: what it quotes is not {path}: run {Path(__file__).name} --write"
    for program in sorted((root / "docs/samples").glob("*")):
        path = program.relative_to(root).as_posix()
        if program.suffix in PROGRAMS and path not in quoted:
            yield f"{path}: no text quotes it"


def write(root):
    def current(quote):
        text = (root / quote["path"]).read_text(encoding="utf-8")
        return f"<!-- {quote['path']} -->\n{quote['fence']}{quote['language']}\n{text}{quote['fence']}"

    for text in texts(root):
        before = text.read_text(encoding="utf-8")
        after = QUOTE.sub(current, before)
        if after != before:
            text.write_text(after, encoding="utf-8")


def self_test():
    """Text, and the words of the finding it must cause; `None` where it is allowed."""
    quote = "<!-- docs/samples/a.py -->\n```python\n{}```\n"
    cases = [
        (quote.format("print(1)\n"), None),
        (quote.format("print(2)\n"), "is not docs/samples/a.py"),
        (quote.format("print(1)\n\n"), "is not docs/samples/a.py"),
        ("```python\nprint(1)\n```\n", "no text quotes it"),
        (quote.format("print(1)\n") + quote.replace("a.py", "b.py").format(""), "which is not there"),
    ]
    wrong = []
    for number, (text, expected) in enumerate(cases, 1):
        with tempfile.TemporaryDirectory() as folder:
            root = Path(folder)
            (root / "docs/samples").mkdir(parents=True)
            (root / "docs/samples/a.py").write_text("print(1)\n", encoding="utf-8")
            (root / "docs/a.md").write_text(text, encoding="utf-8")
            found = list(findings(root))
        right = not found if expected is None else len(found) == 1 and expected in found[0]
        if not right:
            wrong.append(f"self-test {number}: expected {expected!r}, found {found}")
    return wrong, f"{len(cases)} cases hold"


def main():
    if sys.argv[1:] == ["--self-test"]:
        found, fine = self_test()
    elif sys.argv[1:] == ["--write"]:
        write(ROOT)
        found, fine = list(findings(ROOT)), "the texts quote the files"
    elif not sys.argv[1:]:
        found, fine = list(findings(ROOT)), "the texts quote the files"
    else:
        sys.exit(__doc__)
    print("\n".join(found) or fine)
    sys.exit(bool(found))


if __name__ == "__main__":
    main()
