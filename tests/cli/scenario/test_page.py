"""The page of a report: the report's values, without network, readable in light and dark and by screen readers."""

import re
from html.parser import HTMLParser
from typing import Any

import pytest

from cli.scenario.page import page
from tests.cli.scenario.test_report import DENIED, DEPLOYMENT, limited, report

VOID = {"meta", "link", "br", "path", "rect", "marker"}


class Parsed(HTMLParser):
    """Elements with their attributes, and the texts of each element."""

    def __init__(self, html: str) -> None:
        super().__init__()
        self.elements: list[tuple[str, dict[str, str | None]]] = []
        self.texts: dict[str, list[str]] = {}
        self._open: list[str] = []
        self.feed(html)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.elements.append((tag, dict(attrs)))
        if tag not in VOID:
            self._open.append(tag)

    def handle_endtag(self, tag: str) -> None:
        if tag not in VOID:
            assert self._open.pop() == tag

    def handle_data(self, data: str) -> None:
        self.texts.setdefault(self._open[-1] if self._open else "", []).append(data)

    def all(self, tag: str) -> list[dict[str, str | None]]:
        return [attributes for name, attributes in self.elements if name == tag]

    @property
    def text(self) -> str:
        return " ".join(text for texts in self.texts.values() for text in texts)


@pytest.fixture(scope="module")
def html() -> str:
    return page(limited(report()).to_json(), DEPLOYMENT)


@pytest.fixture(scope="module")
def parsed(html: str) -> Parsed:
    return Parsed(html)


def test_page_needs_no_network(html: str, parsed: Parsed) -> None:
    links = [value for _, attributes in parsed.elements for name in ("href", "src") if (value := attributes.get(name))]
    assert {link.partition("#")[0] for link in links} <= {"", "data:,"}
    assert "script" not in {name for name, _ in parsed.elements}
    assert "@import" not in html
    assert "url(http" not in html
    assert any("default-src 'none'" in (meta.get("content") or "") for meta in parsed.all("meta"))


def test_page_has_landmarks_and_headed_tables(parsed: Parsed) -> None:
    assert parsed.all("html") == [{"lang": "en"}]
    assert parsed.texts["title"][0].startswith("✓ coatcheck")
    for landmark in ("header", "nav", "main", "footer", "h1", "title"):
        assert len(parsed.all(landmark)) == 1, landmark
    assert len(parsed.all("table")) == len(parsed.all("caption")) == 4
    assert all(head["scope"] == "col" for head in parsed.all("th"))
    (picture,) = parsed.all("svg")
    assert (picture["role"], bool(picture["aria-label"])) == ("img", True)


def test_links_lead_to_sections(parsed: Parsed) -> None:
    ids = {attributes["id"] for _, attributes in parsed.elements if "id" in attributes}
    links = [link["href"] for link in parsed.all("a")]
    assert len(links) == 5
    assert {link.removeprefix("#") for link in links if link} <= ids


def test_page_shows_every_value(parsed: Parsed) -> None:
    content = limited(report()).to_json()
    (payload,), (attempt,), (function,), (limitation,) = (
        content[name] for name in ("payloads", "attempts", "functions", "not_enforced")
    )
    shown = [
        payload["payload"],
        payload["sha256"],
        payload["message_id"],
        "7 B",
        "+2.0 s",
        "+3.0 s",
        "orders",
        "billing",
    ]
    shown += [attempt[key] for key in ("attempt", "caller", "policy", "response")]
    shown += [function["function"], "7 B: 55 MB", "60 MB", *limitation.values()]
    assert [each for each in shown if each not in parsed.text] == []


def test_arrows_have_the_times_of_the_run(parsed: Parsed) -> None:
    assert {"0.0 s", "2.0 s"} <= set(parsed.texts["text"])


def test_names_are_text_and_not_markup() -> None:
    hostile = "<script>alert(1)</script>"
    content = report().to_json()
    content["payloads"][0]["payload"] = content["attempts"][0]["response"] = hostile
    html = page(content, DEPLOYMENT)
    assert "<script" not in html
    assert hostile in Parsed(html).text


def test_failures_are_marked() -> None:
    content = report(orders=None).to_json()
    content["attempts"][0] |= {"denied": False, "response": "allowed"}
    parsed = Parsed(page(content, DEPLOYMENT))
    failed = [text for text in parsed.texts["strong"] if text.startswith("✗")]
    assert failed == [
        "✗ Something was not as promised. It is marked with ✗ below.",
        "✗ missing or different",
        "✗ allowed",
    ]
    assert parsed.texts["title"][0].startswith("✗")
    assert "did not arrive in time" in parsed.text


def test_page_of_a_verification_has_promises_and_remains() -> None:
    left = {"subject": "s3://bucket/key", "reason": "perhaps billing still reads it"}
    content: dict[str, Any] = report().to_json() | {
        "promises": {"outbox": True, "endpoint": None},
        "not_deleted": [left],
    }
    text = Parsed(page(content, DEPLOYMENT)).text
    assert [each for each in ("outbox", "✓ kept", "not shown", *left.values()) if each not in text] == []


def luminance(colour: str) -> float:
    digits = colour.removeprefix("#")
    pairs = [digits[i : i + 2] for i in (0, 2, 4)] if len(digits) == 6 else [2 * digit for digit in digits]
    linear = [(c / 12.92 if c <= 0.03928 else ((c + 0.055) / 1.055) ** 2.4) for c in (int(p, 16) / 255 for p in pairs)]
    return 0.2126 * linear[0] + 0.7152 * linear[1] + 0.0722 * linear[2]


@pytest.mark.parametrize("mode", ["light", "dark"])
@pytest.mark.parametrize("colour", ["text", "faint", "own", "good", "bad"])
def test_texts_have_the_contrast_of_wcag_aa(html: str, mode: str, colour: str) -> None:
    values: dict[str, str] = {}
    for style in re.findall(r"<style>(.*?)</style>", html, re.DOTALL):
        light, _, dark = style.partition("prefers-color-scheme")
        for part in (light, dark) if mode == "dark" else (light,):
            values |= dict(re.findall(r"--([a-z]+):\s*(#[0-9a-f]+)", part))
    for back in ("back", "box"):
        darker, lighter = sorted(luminance(values[name]) for name in (colour, back))
        assert (lighter + 0.05) / (darker + 0.05) >= 4.5, (colour, back)


def test_denied_requests_are_counted(parsed: Parsed) -> None:
    assert DENIED.denied
    assert "1 of 1 were denied" in parsed.text
