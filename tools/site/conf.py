"""The site of the Markdown pages. The pages themselves are those that the repository shows.

    make site

Diagrams are drawn when the site is built: a reader's browser loads nothing from another place.
"""

import re
import sys
from pathlib import Path
from typing import Any

from mermaidx import Diagram  # type: ignore[import-not-found]

project = "coatcheck"
extensions = ["myst_parser", "sphinx.ext.autodoc", "sphinx.ext.napoleon"]
html_theme = "furo"
html_title = "coatcheck"
root_doc = "docs/README"
exclude_patterns = [".venv", "node_modules", "build", "cdk.out"]
include_patterns = ["*.md", "docs/**.md", "lambdas/claim_check/README.md", "applications/**.md", "tests/README.md"]
myst_heading_anchors = 4
autodoc_mock_imports = ["boto3", "botocore", "cryptography"]
autodoc_member_order = "bysource"
default_role = "literal"  # `name` in a docstring
suppress_warnings = ["toc.not_included"]  # decision records are reached from their index


def add_contents(_app: Any, name: str, source: list[str]) -> None:
    """Give the index the contents of the side bar: the pages it links, in its order."""
    if name == root_doc:
        links = dict.fromkeys(re.findall(r"\]\(([^)#:]+\.md)", source[0]))
        source[0] += "\n\n```{toctree}\n:hidden:\n" + "\n".join(links) + "\n```\n"


def add_docstrings(_app: Any, name: str, source: list[str]) -> None:
    """Give the library's reference the docstrings of its public names."""
    if name == "docs/library":
        for module in ("claim_check", "claim_check.https"):
            lines = (f".. automodule:: {module}", "   :members:", "   :show-inheritance:")
            source[0] += f"\n## Docstrings of {module}\n\n```{{eval-rst}}\n" + "\n".join(lines) + "\n```\n"


def draw_diagrams(_app: Any, _name: str, source: list[str]) -> None:
    """Replace diagrams in Mermaid's language by pictures. On a narrow screen they scroll."""

    def drawn(match: re.Match[str]) -> str:
        picture = f'<div style="min-width: 46rem">{Diagram(match[1]).svg()}</div>'
        return f'```{{raw}} html\n<div style="overflow-x: auto">{picture}</div>\n```'

    source[0] = re.sub(r"^```mermaid\n(.*?)^```$", drawn, source[0], flags=re.MULTILINE | re.DOTALL)


def short_types(*event: Any) -> tuple[str | None, ...]:
    """Return signature and result of an object with types by their names alone."""
    return tuple(text and re.sub(r"~(?:\w+\.)+(\w+)", r"\1", text) for text in event[-2:])


def is_field(*event: Any) -> bool | None:
    """Return whether to leave a member out: the fields of a named tuple are in its signature."""
    return str(event[3].__doc__).startswith("Alias for field number") or None


def setup(app: Any) -> None:
    """Add the parts of the site's pages that the repository's pages do not have."""
    sys.path.insert(0, str(Path(__file__).parents[2] / "lambdas"))
    app.connect("source-read", draw_diagrams)
    app.connect("source-read", add_contents)
    app.connect("source-read", add_docstrings)
    app.connect("autodoc-process-signature", short_types)
    app.connect("autodoc-skip-member", is_field)
