"""The page of a deployment's accounts."""

from __future__ import annotations

import os
import re
import shlex
import sys
from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path

from access.assembly import AssemblyError, StackTemplate, synthesize
from access.policies import read_inventory
from cli.doctor import accounts, policies, resources, stacks
from cli.doctor.requests import AbsentError, Requests
from cli.doctor.stacks import DeployedStack
from cli.page import Finding, Level, Page, Section, note, output, problem
from cli.profiles import ProfileClients, find_callers
from stacks.deployment import load
from stacks.deployment.service_quotas import service_quotas


def run(file: Path, *, profiles: Sequence[str], only: Sequence[str], as_json: bool) -> int:
    """Print the page of a deployment file, and return the exit code: 1 with a problem, 2 with an unknown account.

    Args:
        file: The deployment file.
        profiles: Names of AWS profiles, or `ACCOUNT=NAME`. Without any, see `find_callers`.
        only: Accounts to look at. Without any, all of the deployment.
        as_json: Print JSON.

    Raises:
        DeploymentError: The deployment file is invalid.
        SynthError: The stacks cannot be synthesized.
    """
    load(file)  # reports an invalid file before CDK starts
    found = synthesize(file)
    wanted = [stack for stack in found if not only or stack.account in only]
    if unknown := sorted({*only} - {stack.account for stack in found}):
        own = ", ".join(sorted({stack.account for stack in found}))
        print(f"--account {', '.join(unknown)}: has no stack. The accounts are {own}.", file=sys.stderr)
        return 2
    callers, problems = find_callers(profiles, {stack.account: stack.region for stack in wanted})
    clients = ProfileClients(callers)
    requests = {account: Requests(clients, account) for account in callers}
    section = _accounts(wanted, {account: caller.arn for account, caller in callers.items()}, [*map(problem, problems)])
    page = Page(os.path.relpath(file), [section, *_sections(file, found, wanted, requests)])
    return output([page], as_json=as_json)


def _accounts(found: Sequence[StackTemplate], arns: Mapping[str, str], problems: Sequence[Finding]) -> Section:
    findings = list(problems)
    own = sorted({stack.account for stack in found})
    for account in own:
        if account not in arns:
            names = ", ".join(stack.name for stack in found if stack.account == account)
            findings.append(
                note(f"{account}: no credentials, so {names} was not looked at. Give --profile {account}=NAME.")
            )
    if not arns:
        findings.append(problem("There are no credentials for any account of the deployment."))
    return Section("Accounts", f"credentials for {len(arns)} of {len(own)}", findings, sorted(arns.items()))


def _sections(
    file: Path, found: Sequence[StackTemplate], wanted: Sequence[StackTemplate], requests: Mapping[str, Requests]
) -> Iterator[Section]:
    if not requests:
        return
    own = {account: [stack for stack in wanted if stack.account == account] for account in requests}
    first = next(iter(requests.values()))
    names = sorted({stack.account for stack in found})
    yield Section(
        "Regions",
        "enabled, and bootstrapped for CDK",
        [
            *accounts.organization_findings(first, own[first.account][0].region, names),
            *(each for one in requests.values() for each in accounts.region_findings(one, own[one.account])),
            *(each for one in requests.values() for each in accounts.bootstrap_findings(one, own[one.account])),
            *(each for one in requests.values() for each in accounts.ecs_role_findings(one, own[one.account])),
        ],
    )
    yield _quotas(file, requests)
    deploy = f"npx cdk deploy -c deployment={shlex.quote(os.path.relpath(file))}"
    deployed, section = _deployed(wanted, requests, deploy)
    yield section
    usable = [stack for stack in deployed if stack.has_resources]
    if usable:
        yield from _resources(found, usable, requests, deploy)
    yield _refused(requests)


def _repair(
    deployed: Sequence[DeployedStack],
    deploy: str,
    *,
    readable: Sequence[str],
    unreadable: Sequence[str],
    unsubscribed: Sequence[str],
) -> Section:
    """Return how to write the templates' values again. `cdk deploy` alone finds no change.

    deploy: the command that deploys stacks of this file.
    readable, unreadable: places of differences that CloudFormation can see, and of the others.
    unsubscribed: places of subscriptions that do not exist.
    """
    findings = []
    for places, text in (
        (readable, "`{deploy} {stacks} --revert-drift` compares with the actual resources."),
        (
            unreadable,
            "CloudFormation reads no policy of a topic, a queue or in a role. In {stacks}, write them by hand.",
        ),
        (
            unsubscribed,
            "The subscription of {stacks} needs two deployments of this stack: `{deploy} {stacks}` with "
            "`subscribed = false` in the subscriber's table, and again without this line.",
        ),
    ):
        names = [
            one.intended.id for one in deployed if any(re.match(rf"{one.intended.name}[/:]", each) for each in places)
        ]
        if names:
            findings.append(note(text.format(deploy=deploy, stacks=" ".join(names))))
    return Section("Repair", "nothing differs" if not findings else "of differences", findings)


def _if_refused(requests: Mapping[str, Requests], prefix: str) -> Iterator[Finding]:
    places = sorted({place for one in requests.values() for each, _, place in one.refused if each.startswith(prefix)})
    if places:
        yield Finding(Level.NOT_ASKED, f"in {', '.join(places)}: see Requests")


def _refused(requests: Mapping[str, Requests]) -> Section:
    """Return the permissions that were missing, each with its places."""
    places: dict[tuple[str, str], list[str]] = defaultdict(list)
    for permission, reason, place in (refused for one in requests.values() for refused in one.refused):
        places[permission, reason].append(place)
    findings = [
        Finding(Level.NOT_ASKED, f"{permission} in {', '.join(found)} ({reason})")
        for (permission, reason), found in places.items()
    ]
    return Section("Requests", "all were possible" if not findings else "some were not possible", findings)


def _quotas(file: Path, requests: Mapping[str, Requests]) -> Section:
    findings = [
        finding
        for place, quotas in service_quotas(load(file)).items()
        if place.account in requests
        for finding in accounts.quota_findings(requests[place.account], place.region, quotas)
    ]
    return Section("Quotas", "that are needed", [*findings, *_if_refused(requests, "servicequotas:")])


def _deployed(
    wanted: Sequence[StackTemplate], requests: Mapping[str, Requests], deploy: str
) -> tuple[list[DeployedStack], Section]:
    deployed, findings, missing = [], list[Finding](), []
    for stack in wanted:
        if stack.account in requests:
            try:
                if one := stacks.find(requests[stack.account], stack):
                    deployed.append(one)
                    findings += [*stacks.state_findings(one), *stacks.template_findings(one)]
            except AbsentError:
                missing.append(stack)
    for stack in missing:
        text = f"stack {stack.name}: is not deployed in {stack.account} {stack.region}. Run: {deploy} {stack.id}"
        findings.append(problem(text) if deployed else note(text))
    facts = [(one.status, f"{one.intended.name} (coatcheck {one.version or '?'})") for one in deployed]
    return deployed, Section("Stacks", f"deployed: {len(deployed)} of {len(wanted)}", findings, facts)


def _resources(
    all_stacks: Sequence[StackTemplate],
    deployed: Sequence[DeployedStack],
    requests: Mapping[str, Requests],
    deploy: str,
) -> Iterator[Section]:
    own = [one.deployed for one in deployed]
    changed = list(resources.differences(requests, own))
    alarms = (each for stack in own for each in resources.alarm_findings(requests[stack.account], stack))
    yield Section(
        "Resources",
        f"{sum(len(stack.physical_ids) for stack in own)} deployed resources, compared with the templates",
        [*(each.finding for each in changed), *alarms],
    )
    templates = {stack.name: stack for stack in all_stacks} | {one.intended.name: one.deployed for one in deployed}
    try:
        inventory = read_inventory(templates.values())
    except AssemblyError as error:
        yield Section("Policies", "could not be compared", [problem(f"A deployed template cannot be read: {error}")])
        return
    compared = policies.compare(requests, inventory, [one.intended.name for one in deployed])
    yield Section(
        "Policies",
        f"{len(compared)} deployed policies, compared with the templates",
        list(policies.difference_findings(compared)),
    )
    analyzed = list(policies.analyzer_findings(requests, compared))
    yield Section("Analyzer", "IAM Access Analyzer's findings", [*analyzed, *_if_refused(requests, "access-analyzer:")])
    unequal = [each for each in compared if each.differences]
    yield _repair(
        deployed,
        deploy,
        readable=[
            *(each.where for each in changed if not each.unsubscribed),
            *(each.where for each in unequal if each.kind not in policies.UNREADABLE),
        ],
        unreadable=[each.where for each in unequal if each.kind in policies.UNREADABLE],
        unsubscribed=[each.where for each in changed if each.unsubscribed],
    )
