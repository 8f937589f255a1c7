"""The topology: every party of a deployment file, and what it gets."""

from pathlib import Path
from xml.etree import ElementTree

import pytest

from cli.topology import Topology, mermaid, svg, topology
from stacks.deployment import load

DEPLOYMENTS = Path(__file__).parents[2] / "deployments"
FILES = sorted(DEPLOYMENTS.glob("*.toml"))


def drawn(name: str) -> Topology:
    return topology(load(DEPLOYMENTS / f"{name}.toml"))


def test_message_flow_of_the_example() -> None:
    shown = {(arrow.start, arrow.end, arrow.dashed) for arrow in drawn("example").arrows}
    assert shown == {
        ("sender_shop", "publisher", False),
        ("library", "publisher", False),
        ("publisher", "payloads", False),
        ("publisher", "subscriber_orders", False),
        ("publisher", "subscriber_billing", False),
        ("payloads", "subscriber_orders", True),
        ("payloads", "subscriber_billing", True),
    }


def test_payloads_come_from_the_function_not_from_the_topic() -> None:
    lines = [line.strip() for line in mermaid(drawn("example")).splitlines()]
    assert {"publisher_1 --> payloads", "publisher_2 --> subscriber_orders_0"} <= {*lines}
    assert "payloads -.-> subscriber_orders_1" in lines  # the consume function, behind the queue


def test_research_environment_gets_data_sets_of_its_subscriber() -> None:
    assert ("subscriber_datasets", "research", "data sets") in {
        arrow[:3] for arrow in drawn("research-messages").arrows
    }
    assert drawn("research").arrows == ()


def test_replica_has_a_dashed_arrow() -> None:
    dashed = {arrow[:2] for arrow in drawn("everywhere").arrows if arrow.dashed}
    replica = "replica_us-west-2"
    assert {end for start, end in dashed if start == "payloads"} >= {replica}
    assert {end for start, end in dashed if start == replica}, "no reader of the replica"


@pytest.mark.parametrize("file", FILES, ids=lambda file: file.stem)
def test_both_forms_name_every_party(file: Path) -> None:
    topology_ = topology(load(file))
    boxes = [box for column in topology_.columns for box in column]
    picture = ElementTree.fromstring(svg(topology_))
    texts = [element.text for element in picture.iter("{http://www.w3.org/2000/svg}text")]
    chart = mermaid(topology_)
    for box in boxes:
        assert {box.title, box.place, *box.parts} <= set(texts)
        assert f'["{box.title}<br/>{box.place}"]' in chart
    assert len(list(picture.iter("{http://www.w3.org/2000/svg}path"))) == len(topology_.arrows) + 1  # the arrow's tip
    assert {arrow.start for arrow in topology_.arrows} <= {box.id for box in boxes}
