"""Alarms: texts and errors. tests/policies proves their metrics and thresholds."""

import re
from typing import Any

import pytest

import claim_check
from access.assembly import StackTemplate
from stacks.common.alarms import ERRORS
from stacks.deployment import load
from tests.stacks.conftest import RUNBOOK_URL
from tests.stacks.policies import Template, resources
from tests.templates import ROOT, synthesize
from tools import reference

Alarm = dict[str, Any]


def alarms_of(template: Template) -> list[Alarm]:
    return [alarm["Properties"] for alarm in resources(template, "AWS::CloudWatch::Alarm").values()]


def short(alarm: Alarm) -> str:
    """The last part of the alarm's name, which the runbook explains."""
    return str(alarm["AlarmName"]).rpartition("-")[2]


@pytest.fixture(scope="module")
def alarms(everything: dict[str, StackTemplate]) -> dict[str, Alarm]:
    """All alarms by name."""
    return {alarm["AlarmName"]: alarm for stack in everything.values() for alarm in alarms_of(stack.template)}


def test_alarm_text_has_three_parts_and_a_runbook_section(alarms: dict[str, Alarm]) -> None:
    runbook = (ROOT / "docs" / "runbook.md").read_text(encoding="utf-8")
    sections = re.findall(r"^### (\w+)$", runbook, flags=re.MULTILINE)
    assert sorted(sections) == sorted({short(alarm) for alarm in alarms.values()})
    for name, alarm in alarms.items():
        text, _, link = alarm["AlarmDescription"].partition(" Details: ")
        assert link == f"{RUNBOOK_URL}#{short(alarm).lower()}", name
        # What happened, what it means for messages, and the first step.
        assert len(re.findall(r"[.:] (?=[A-Z])", text)) >= 2, name
        assert text.endswith("."), name
        assert len(alarm["AlarmDescription"]) <= 1024, name
        assert ("coatcheck inspect" in text) == ("NotEmpty" in name), name
        # The command requires one of these options.
        assert ("coatcheck redrive" in text) == ("--subscriber NAME" in text or "--publisher" in text), name


def test_reference_has_every_alarm(alarms: dict[str, Alarm]) -> None:
    stacks = [stack for file in reference.EXAMPLES for stack in synthesize(load(file))]
    page = reference.ALARMS.read_text(encoding="utf-8")
    assert page == reference.render(reference.ALARMS, reference.alarms(stacks)), "run: make docs"
    assert set(re.findall(r"^\| \[`(\w+)`", page, re.MULTILINE)) == {short(alarm) for alarm in alarms.values()}


def test_alarm_has_no_link_without_a_runbook(templates: dict[str, Template]) -> None:
    for alarm in alarms_of(templates["coatcheck-publisher"]):
        assert "Details" not in alarm["AlarmDescription"]


def test_error_alarms_equal_the_librarys() -> None:
    errors = [getattr(claim_check, name) for name in claim_check.__all__]
    errors = [error for error in errors if isinstance(error, type) and issubclass(error, claim_check.ClaimCheckError)]
    assert set(ERRORS) == {error.__name__ for error in errors if error.alarm}
