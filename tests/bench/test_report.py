"""Ratios, tables and the chart of results."""

import re
from argparse import Namespace
from itertools import product
from typing import Any
from xml.etree import ElementTree

import pytest

from bench.__main__ import WAYS, plan
from bench.clients import CLIENTS
from bench.network import PROFILES
from bench.report import PAGE, chart, render, rows, size_of

MIB = 2**20


def result(client: str, turn: int, wall: float, **more: Any) -> dict[str, Any]:
    case = {"profile": "instance", "way": "receive_file", "size": 64 * MIB, "client": client, "turn": turn}
    return {**case, "wall": wall, "cpu": 0.5, "memory": 5 * MIB, "calls": {"GetObject": 16}, **more}


RESULTS = [
    result("claim_check", 0, 1.0),
    result("CRT", 0, 2.0, memory=70 * MIB),
    result("claim_check", 1, 2.0),
    result("CRT", 1, 3.0, memory=60 * MIB),
    result("claim_check", 2, 1.0),
    result("CRT", 2, 1.8),
]


def test_ratio_is_of_the_same_turn() -> None:
    _, crt = rows(RESULTS, "instance", "receive_file", 64 * MIB)
    assert crt.ratio == (1.8, 1.5, 2.0)
    assert (crt.wall, crt.memory, crt.cpu) == (2.0, 70 * MIB, 8.0)


def test_failed_transfer_is_counted_without_a_ratio() -> None:
    failed = {**result("CRT", 3, 0), "error": "ended with 1"}
    del failed["wall"]
    _, crt = rows([*RESULTS, failed], "instance", "receive_file", 64 * MIB)
    assert (crt.failed, crt.ratio) == (1, (1.8, 1.5, 2.0))


@pytest.mark.parametrize(
    ("kind", "own", "other"),
    [("time", "1.00 s", "1.80 (1.50-2.00)"), ("memory", "5 MiB", "70 MiB"), ("cpu", "8.0 s", "8.0 s")],
)
def test_table_replaces_the_previous_one(kind: str, own: str, other: str) -> None:
    marker = f"<!-- {kind} receive_file 64MiB instance,task -->\n"
    page = f"before\n\n{marker}| old |\n|---|\n\nafter\n"
    expected = (
        f"| receive file, 64 MiB | instance | task |\n|---|--:|--:|\n| claim_check | {own} |  |\n| CRT | {other} |  |\n"
    )
    rendered = render(page, {"results": RESULTS})
    assert rendered == f"before\n\n{marker}{expected}\nafter\n"
    assert render(rendered, {"results": RESULTS}) == rendered


def test_table_without_results_says_so() -> None:
    page = "<!-- time publish_file 1GiB task -->\n"
    once = render(page, {"results": RESULTS})
    assert once == page + "Not measured in this run.\n"
    assert render(once, {"results": RESULTS}) == once


@pytest.mark.parametrize("load", [0.1, 5.0])
def test_page_names_the_conditions_of_the_run(load: float) -> None:
    run = {"date": "2026-11-28", "commit": "abc1234", "load": load, "machine": "2", "python": "3.11.7", "boto3": "1.43"}
    once = render("<!-- run -->\n", {"run": run, "results": RESULTS})
    assert "2026-11-28 at commit abc1234: 3 turns" in once
    assert ("busy" in once) == (load > 1)
    assert render(once, {"run": run, "results": RESULTS}) == once


def test_tables_of_the_page_are_measured() -> None:
    everything = Namespace(profile=PROFILES, way=WAYS, size=None, client=CLIENTS)
    planned = {(case.way, case.size, case.profile) for case in plan(everything)}
    markers = re.findall(r"<!-- (?:time|memory|cpu) (\S+) (\S+) (\S+) -->", PAGE.read_text())
    tables = [product(*(names.split(",") for names in marker)) for marker in markers]
    columns = {(way, size_of(size), profile) for table in tables for way, size, profile in table}
    assert columns - planned == set()
    assert planned - columns == set()


def test_chart_has_a_bar_for_each_client() -> None:
    drawing = ElementTree.fromstring(chart(RESULTS))
    bars = [node.get("class") for node in drawing.iter("{http://www.w3.org/2000/svg}rect") if node.get("class")]
    assert bars == ["own", "other"]


def test_size_has_a_unit() -> None:
    assert [size_of(text) for text in ("300KiB", "64MiB", "1GiB")] == [300 * 2**10, 64 * MIB, 2**30]
