"""The page of a deployment file: each section composes a check that exists, or one of this package."""

from __future__ import annotations

import os
from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path

from access.assembly import AssemblyError, StackTemplate, SynthError, synthesize
from access.command import boundary_policies
from access.findings import Case, findings, read_case
from access.inventory import Policy
from cli.check import policy_sizes
from cli.check.templates import lint, name_findings, named_resources, region_findings
from cli.cost.command import monthly_lines
from cli.cost.prices import load as load_prices
from cli.cost.prices import unpriced_text
from cli.page import Finding, Page, Section, note, output, problem
from stacks.deployment import Deployment, DeploymentError, ResearchDeployment, load
from stacks.deployment.payload_lifetime import pointer_delays
from stacks.deployment.regions import table_date
from stacks.deployment.service_quotas import DEFAULTS_DATE, service_quotas

_EXAMPLE_ACCOUNTS = frozenset({"123456789012", *(str(digit) * 12 for digit in range(10))})
"""Accounts of AWS's documentation and of the examples."""
_SHOWN_SIZES = 4


def run(files: Sequence[Path], *, as_json: bool, boundary: Policy | None) -> int:
    """Print a page for each deployment file, and return the exit code: 1 with a problem.

    boundary: the policy of `platform.permissions_boundary`.
    """
    checked = {os.path.relpath(file): _synthesize(file) for file in files}
    named = [
        resource
        for file, result in checked.items()
        if not isinstance(result, Section)
        for resource in named_resources(result[1], file)
    ]
    pages = []
    for file, result in checked.items():
        if isinstance(result, Section):
            pages.append(Page(file, [result]))
        else:
            names = name_findings(file, result[1], named)
            managed = boundary_policies(*result, boundary)
            pages.append(Page(file, list(_sections(*result, names, managed))))
    return output(pages, as_json=as_json)


_Checked = tuple[Deployment | ResearchDeployment, tuple[StackTemplate, ...]]


def _synthesize(file: Path) -> _Checked | Section:
    """Return a file's deployment and stacks, or the section with the reason why there are none."""
    try:
        deployment = load(file)
        return deployment, synthesize(file)
    except DeploymentError as error:
        summary = "is invalid. Nothing else was checked."
        return Section("File", summary, [problem(each) for each in error.problems])
    except (SynthError, AssemblyError) as error:
        return Section("File", "cannot be synthesized. Nothing else was checked.", [problem(str(error))])


def _sections(
    deployment: Deployment | ResearchDeployment,
    stacks: tuple[StackTemplate, ...],
    names: Iterator[Finding],
    managed: Mapping[str, Policy],
) -> Iterator[Section]:
    yield _file(deployment, stacks)
    resources = sum(len(stack.template["Resources"]) for stack in stacks)
    yield Section("Names", f"stacks: {len(stacks)}, resources: {resources}", list(names))
    regions = ", ".join(sorted({stack.region for stack in stacks}))
    summary = f"{regions} (resource types as of {table_date()})"
    yield Section("Regions", summary, list(region_findings(deployment, stacks)))
    yield Section("Templates", "by cfn-lint, each with its own Region", [*_warnings(stacks), *lint(stacks)])
    yield from _access(deployment, stacks, managed)
    if isinstance(deployment, Deployment):
        yield _lifetimes(deployment)
    yield _quotas(deployment)
    yield _costs(stacks)


def _file(deployment: Deployment | ResearchDeployment, stacks: Sequence[StackTemplate]) -> Section:
    examples = sorted({stack.account for stack in stacks} & _EXAMPLE_ACCOUNTS)
    found = [note(f"account {', '.join(examples)}: is of an example. Set your accounts.")] if examples else []
    accounts: dict[str, list[str]] = defaultdict(list)
    for stack in stacks:
        accounts[f"{stack.account} {stack.region}"].append(stack.name)
    facts = [(place, ", ".join(names)) for place, names in accounts.items()]
    return Section("File", f'is valid: deployment "{deployment.name}"', found, facts)


def _warnings(stacks: Sequence[StackTemplate]) -> Iterator[Finding]:
    """Yield CDK's warnings. The build of an image without a digest fails."""
    for text, _, identifier in dict.fromkeys(each.partition(" [ack: ") for stack in stacks for each in stack.warnings):
        yield problem(text) if identifier.startswith("coatcheck:refused-build") else note(text)


def _access(
    deployment: Deployment | ResearchDeployment, stacks: tuple[StackTemplate, ...], managed: Mapping[str, Policy]
) -> Iterator[Section]:
    try:
        case = read_case(deployment, stacks, managed)
    except AssemblyError as error:
        yield Section("Access", "the templates cannot be read", [problem(str(error))])
        return
    largest = policy_sizes.largest(case.inventory)
    facts = [(f"{size.share:.0%}", f"{size.limit.noun}: {size.where}") for size in largest[:_SHOWN_SIZES]]
    summary = "in percent of AWS's limits, the fullest of each kind"
    yield Section("Policy sizes", summary, list(_size_findings(case)), facts)
    yield Section(
        "Access",
        f"{case.inventory.documents} policy documents of {len(case.inventory.roles)} roles and "
        f"{len(case.inventory.resource_policies)} resources, proved against the intent",
        [problem(text) for text in findings(case)],
    )


def _size_findings(case: Case) -> Iterator[Finding]:
    for size in policy_sizes.sizes(case.inventory):
        text = f"{size.where}: the {size.limit.noun} has {size.bytes:,} bytes of {size.limit.bytes:,}."
        if size.share > 1:
            yield problem(f"{text} {size.limit.remedy}")
        elif size.share >= policy_sizes.NEARLY_FULL:
            yield note(text)


def _lifetimes(deployment: Deployment) -> Section:
    """Return the sum of a pointer's delays next to the payloads' lifetime. `load` has compared them."""
    publisher = deployment.publisher
    sums = {subscriber.name: sum(pointer_delays(subscriber).values()) for subscriber in deployment.subscribers}
    late = [
        note(f"subscriber {name}: a pointer can be delivered {days} days late, after its payload has expired.")
        for name, days in sums.items()
        if days > publisher.payload_lifetime_days
    ]
    facts = [(f"{days} days", f"longest delay of a pointer to {name}") for name, days in sums.items()]
    return Section("Lifetimes", f"payloads are kept for {publisher.payload_lifetime_days} days", late, facts)


def _quotas(deployment: Deployment | ResearchDeployment) -> Section:
    found, facts = [], []
    for place, quotas in service_quotas(deployment).items():
        facts.append(("", f"in {place.account} {place.region}"))
        for quota in quotas:
            text = f"{quota.service}: {quota.name}"
            of = "" if quota.default is None else f" of {quota.default}"
            facts.append((f"{quota.minimum:g}{of}", text))
            if quota.default is not None and quota.minimum > quota.default:
                where = f"in {place.account} {place.region}"
                need = f"{quota.minimum:g} are needed, and AWS's default is {quota.default}"
                found.append(note(f"{text} {where}: {need}. Request an increase in Service Quotas."))
    summary = f"needed, of AWS's defaults ({DEFAULTS_DATE}). A new account can have less."
    return Section("Quotas", summary, found, facts)


def _costs(stacks: Sequence[StackTemplate]) -> Section:
    """Return the costs without use. `coatcheck cost` has those of messages."""
    prices = load_prices()
    usd: dict[str, float] = defaultdict(float)
    for line in monthly_lines(stacks, prices):
        usd[f"{line.place}, {line.region}"] += line.usd
    facts = [(f"{amount:,.2f} USD", place) for place, amount in usd.items()]
    summary = f"{sum(usd.values()):,.2f} USD a month without use (list prices of {prices.date})"
    unpriced = prices.unpriced(stack.region for stack in stacks)
    return Section("Costs", summary, [note(unpriced_text(unpriced))] if unpriced else [], facts)
