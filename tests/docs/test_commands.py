"""Commands in the Markdown pages: `coatcheck` with its options, and the targets of `make`."""

import re
from pathlib import Path

import pytest
import typer

from cli.main import app
from tests.docs.test_pages import PAGES, ROOT

COMMANDS = typer.main.get_group(app).commands
TARGETS = set(re.findall(r"^([a-z]+):", (ROOT / "Makefile").read_text(), re.MULTILINE))
CODE = re.compile(r"^```.*?\n(.*?)^```|`([^`\n]+)`", re.MULTILINE | re.DOTALL)
COMMAND = re.compile(r"^(?:\$ )?(?:\w+=\S+ |\S*/)*(coatcheck|make) ([a-z]+)\b(?![./-])(.*)", re.MULTILINE)


def problems(text: str) -> list[str]:
    """Return the commands of a page that do not exist, and their options that do not."""
    found = []
    for block, span in CODE.findall(text):
        for program, word, rest in COMMAND.findall((block or span).replace("\\\n", " ")):
            if program == "make" and word not in TARGETS:
                found.append(f"make {word}")
            if program == "coatcheck" and word not in COMMANDS:
                found.append(f"coatcheck {word}")
            elif program == "coatcheck":
                known = {option for each in COMMANDS[word].params for option in each.opts} | {"--help"}
                options = re.findall(r"(?<!\S)--[a-z-]+", re.split(r" #| \|| -- ", rest)[0])
                found += [f"coatcheck {word} {option}" for option in options if option not in known]
    return found


@pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.relative_to(ROOT)))
def test_commands_of_the_page_exist(page: Path) -> None:
    assert problems(page.read_text()) == []


@pytest.mark.parametrize(
    ("text", "found"),
    [
        ("`make demo`, `coatcheck check FILE`", []),
        ("```sh\n$ coatcheck check \\\n    --no FILE\nmake nothing\n```", ["coatcheck check --no", "make nothing"]),
        ("```sh\nA=1 .venv/bin/coatcheck sned   # --nothing\n```", ["coatcheck sned"]),
        ("```sh\ncoatcheck job data -- --percent-mito 5\n```", []),
    ],
)
def test_wrong_command_is_found(text: str, found: list[str]) -> None:
    assert problems(text) == found
