"""The form of test names: at most 60 characters, without a relative clause."""

import ast
import re
from pathlib import Path

TESTS = Path(__file__).parents[1]
RELATIVE = re.compile(r"_(what|who|which|where)_|(?<!_for)_that_")


def test_names_of_tests_are_short_nouns_and_verbs() -> None:
    names = [
        node.name
        for path in TESTS.rglob("test_*.py")
        for node in ast.walk(ast.parse(path.read_text()))
        if isinstance(node, ast.FunctionDef) and node.name.startswith("test_")
    ]
    assert len(names) > 500
    assert [name for name in names if len(name) > 60 or RELATIVE.search(name)] == []
