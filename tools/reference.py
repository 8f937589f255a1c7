"""Write the generated part of the reference pages: commands, alarms, and the names of the library.

Each page ends with its generated part, after a comment. `tools/deployment_reference.py` writes the keys of the
deployment file.
"""

from __future__ import annotations

import inspect
import re
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any, get_args

import typer

import claim_check
import claim_check.https
from access.assembly import StackTemplate, synthesize
from cli.main import PANELS, app

_ROOT = Path(__file__).parents[1]
COMMANDS, ALARMS, LIBRARY = (_ROOT / "docs" / f"{name}.md" for name in ("commands", "alarms-and-metrics", "library"))
_RUNBOOK = _ROOT / "docs" / "runbook.md"
EXAMPLES = tuple(
    _ROOT / "deployments" / f"{name}.toml" for name in ("example", "applications", "everywhere", "research-messages")
)
"""Deployment files that have every alarm together."""

_MARKER = "<!-- Generated from here on: make docs -->\n\n"
_Rows = Iterable[tuple[str, ...]]


def render(page: Path, generated: str) -> str:
    """Return the page with its generated part replaced."""
    written, marker, _ = page.read_text(encoding="utf-8").partition(_MARKER)
    return written + marker + generated


def _table(*head: str, rows: _Rows) -> str:
    return "".join(f"| {' | '.join(row)} |\n" for row in (head, ["---"] * len(head), *rows))


def _escaped(text: str) -> str:
    """Return text without Markdown and HTML, except code."""
    return re.sub(r"(`[^`]*`)|([<_*])", lambda match: match[1] or f"\\{match[2]}", text)


def commands() -> str:
    """Return a section for each command, in the order of `coatcheck --help`."""
    group = typer.main.get_group(app)
    lines: list[str] = []
    for panel, names in PANELS.items():
        lines.append(f"## {panel}\n")
        for name in names:
            lines += [f"### {name}\n", *_command(group.commands[name], name)]
    return "\n".join(lines)


def _command(command: Any, name: str) -> Iterator[str]:
    context = typer.Context(command)
    summary, _, details = command.help.partition("\n\n")
    yield _escaped(f"{summary[0].upper()}{summary[1:]}. {details}").strip() + "\n"
    usage = " ".join(["coatcheck", name, *command.collect_usage_pieces(context)])
    yield f"```sh\n{usage.translate({ord('{'): None, ord('}'): None})}\n```\n"
    for parameter in command.params:
        is_option = parameter.param_type_name == "option"
        shown = parameter.get_help_record(context)[0] if is_option else parameter.metavar
        yield f"- `{shown}`: {_escaped(parameter.help)}"
    yield f"\n{_escaped(command.epilog)}\n"


def alarms(stacks: Iterable[StackTemplate]) -> str:
    """Return a table of all alarms. For an alarm of several stacks on the same metrics, the first stack's is shown."""
    meanings = dict(
        re.findall(r"^### (\w+)\n\n(.+?\.)\s", _RUNBOOK.read_text(encoding="utf-8"), re.MULTILINE | re.DOTALL)
    )
    rows: dict[tuple[str, str], tuple[str, ...]] = {}
    for stack in stacks:
        for resource in stack.template["Resources"].values():
            if resource["Type"] == "AWS::CloudWatch::Alarm":
                alarm = resource["Properties"]
                name, metrics = alarm["AlarmName"].rpartition("-")[2], "; ".join(_metrics(alarm))
                meaning = f"[`{name}`](runbook.md#{name.lower()}): {meanings[name]}".replace("\n", " ")
                rows.setdefault((name, metrics), (meaning, metrics, _condition(alarm)))
    return _table("alarm", "metrics", "is on", rows=[row for _, row in sorted(rows.items())])


def _metrics(alarm: Mapping[str, Any]) -> Iterator[str]:
    for each in alarm.get("Metrics") or [{"MetricStat": {"Metric": alarm, "Stat": alarm.get("Statistic")}}]:
        if statistic := each.get("MetricStat"):
            metric, label = statistic["Metric"], f"{each['Id']} = " if "Id" in each else ""
            yield f"{label}`{metric['Namespace']}` `{metric['MetricName']}`, {statistic['Stat'].lower()}"


def _condition(alarm: Mapping[str, Any]) -> str:
    """Return the condition of the metric or of the expression, and the periods in which it has to be true."""
    queries = alarm.get("Metrics", [{"MetricStat": alarm}])
    expressions = "".join(f"`{each['Expression']}` " for each in queries if "Expression" in each)
    minutes = next(each["MetricStat"]["Period"] for each in queries if "MetricStat" in each) // 60
    periods = alarm["EvaluationPeriods"]
    times = "" if periods == 1 else f"{alarm.get('DatapointsToAlarm', periods)} of {periods} periods of "
    return f"{expressions}≥ {alarm['Threshold']:,} in {times}{minutes} min"


def library() -> str:
    """Return tables of the library's public names, each with the first sentence of its docstring."""
    modules = (claim_check, claim_check.https)
    return "\n".join(f"## {module.__name__}\n\n" + _table("name", "meaning", rows=_names(module)) for module in modules)


def _names(module: Any) -> Iterator[tuple[str, str]]:
    for name in module.__all__:
        value = getattr(module, name)
        if inspect.isclass(value) or inspect.isfunction(value):
            source = Path(inspect.getfile(value)).relative_to(_ROOT)
            yield f"[`{name}`](../{source})", _escaped(str(inspect.getdoc(value)).split("\n\n")[0].replace("\n", " "))
        else:
            values = get_args(value) or (sorted(value) if isinstance(value, frozenset) else [value])
            yield f"`{name}`", f"constant: {', '.join(f'`{each}`' for each in values)}"


if __name__ == "__main__":
    stacks = [stack for file in EXAMPLES for stack in synthesize(file)]
    for page, generated in {COMMANDS: commands(), ALARMS: alarms(stacks), LIBRARY: library()}.items():
        page.write_text(render(page, generated), encoding="utf-8")
