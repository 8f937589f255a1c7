"""Tests that a page names as evidence."""

import re
from pathlib import Path

TEST = re.compile(r"\[`(test_\w+)`\]\(([^)#]+)\)")


def missing_tests(page: Path, text: str) -> list[str]:
    """Return the tests in the text, each linked to its file, that do not exist."""
    return [name for name, path in TEST.findall(text) if f"def {name}(" not in (page.parent / path).read_text()]
