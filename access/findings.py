"""All findings of a deployment: templates -> documents -> intent -> findings. None: everything was read and proved.

The prover needs z3 and the list of AWS's actions (npm). Without them, the policies are not proved, which is a finding.
"""

import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import chain
from typing import TYPE_CHECKING

from access.actions import actions_of
from access.assembly import StackTemplate
from access.intent import build_intent
from access.inventory import Inventory, Policy, Statement, as_list, principals
from access.policies import read_inventory
from access.stack_intent import text_of
from access.table import differences, property_findings
from access.terms import Intent
from stacks.deployment import Deployment, ResearchDeployment

if TYPE_CHECKING:
    from access.prover import Counterexample


@dataclass(frozen=True)
class Case:
    """A deployment, the inventory of its templates, and its intent."""

    deployment: Deployment | ResearchDeployment
    stacks: tuple[StackTemplate, ...]
    inventory: Inventory
    intent: Intent


def read_case(
    deployment: Deployment | ResearchDeployment,
    stacks: tuple[StackTemplate, ...],
    managed: Mapping[str, Policy] | None = None,
) -> Case:
    """Read a deployment's templates.

    `managed`: by ARN, the managed policies that the stacks use and do not contain, such as permissions boundaries.

    Raises:
        UnresolvedError: a part of a template cannot be read, or an intended stack or resource is missing.
    """
    inventory = read_inventory(stacks, managed)
    return Case(deployment, stacks, inventory, build_intent(deployment, inventory))


def findings(case: Case, arns: Iterable[str] | None = None) -> Iterator[str]:
    """Yield the differences between a deployment's templates and its intent, and the policies that are not proved.

    `arns`: the resources and roles whose policies are proved, by default all.
    """
    yield from unmatched(case)
    yield from property_findings(case.inventory, case.intent.resources)
    yield from unintended_outputs(case)
    yield from unintended_principals(case)
    yield from unintended_grants(case)
    yield from unnamed_sessions(case)
    yield from _proof_findings(
        case, {*case.inventory.resource_policies, *case.inventory.roles} if arns is None else arns
    )


def unmatched(case: Case) -> Iterator[str]:
    """Yield the resources with a policy and the roles that are only in the templates or only in the intent."""
    for templates, intent in (
        (case.inventory.resource_policies.keys(), case.intent.resource_policies.keys()),
        (case.inventory.roles.keys(), case.intent.role_permissions.keys()),
    ):
        yield from (f"{arn} is only in the templates" for arn in sorted(templates - intent))
        yield from (f"{arn} is only in the intent" for arn in sorted(intent - templates))


def unintended_outputs(case: Case) -> Iterator[str]:
    """Yield the outputs of stacks that differ from the intent, and descriptions that lead elsewhere."""
    text = text_of(case.deployment, case.inventory)
    for name, stack in case.inventory.stacks.items():
        values = differences(case.intent.outputs.get(name, {}), stack.outputs, "output")
        texts = differences(dict.fromkeys(stack.descriptions, text), stack.descriptions, "description")
        yield from (f"{name}: {problem}" for problem in chain(values, texts))


def unintended_principals(case: Case) -> Iterator[str]:
    """Yield the principals of Allow statements that the intent does not name for the resource.

    A condition may deny their requests. Then the condition would be the only protection.
    """
    for arn, resource in case.inventory.resource_policies.items():
        intended = {name for name, _ in _allowed(_intended(case, arn))}
        for name, _ in _allowed(resource.statements):
            if name not in intended:
                yield f"{resource.where}: allows {name}, a principal that is not in the intent"


def unintended_grants(case: Case) -> Iterator[str]:
    """Yield the statements for a role of the resource's own account that differ from the intent.

    Such a statement alone gives the role access, and the prover leaves roles of that account to their own policies.
    """
    for arn, resource in case.inventory.resource_policies.items():
        intended = list(_allowed(_intended(case, arn)))
        for name, grant in _allowed(resource.statements):
            if f":iam::{resource.account}:role/" in name and (name, grant) not in intended:
                yield f"{resource.where}: allows {name} other actions or resources than the intent"


def _intended(case: Case, arn: str) -> Sequence[Statement]:
    intent = case.intent.resource_policies.get(arn)
    return intent.statements if intent else ()


def _allowed(statements: Iterable[Statement]) -> Iterator[tuple[str, tuple[object, ...]]]:
    """Yield each principal of Allow statements, with its actions, its resources, and whether there is a condition."""
    for statement in statements:
        actions, resources = (set(as_list(statement.get(key))) for key in ("Action", "Resource"))
        for _, name in principals(statement) if statement.get("Effect") == "Allow" else ():
            account = re.sub(r"arn:[a-z-]+:iam::([0-9]{12}):root", r"\1", name)
            yield account, (actions, resources, bool(statement.get("Condition")))


def unnamed_sessions(case: Case) -> Iterator[str]:
    """Yield the statements for a researcher's own prefix that do not require the session to name the researcher.

    A variable without a value matches nothing. The condition does not rely on this.
    """
    for role in case.inventory.roles.values():
        for statement in role.statements:
            required = statement.get("Condition", {}).get("Null", {}).get("aws:SourceIdentity") == "false"
            if "${aws:SourceIdentity}" in str(statement) and not required:
                yield f"{role.where}: statement {statement.get('Sid')} does not require a source identity"


def counterexamples(case: Case, arn: str) -> Iterator["Counterexample"]:
    """Yield the prover's counterexamples for a resource or a role, which has a trust policy and its own policies.

    Raises:
        Undecided: the solver neither found a counterexample nor excluded one.
        Unmodelled: a policy contains an element that the prover does not model.
    """
    from access.prover import prove

    inventory, intent = case.inventory, case.intent
    if arn in inventory.resource_policies and arn in intent.resource_policies:
        yield from prove(inventory.resource_policies[arn], intent.resource_policies[arn].statements)
    if arn in inventory.roles and arn in intent.role_permissions:
        yield from prove(inventory.roles[arn], intent.role_statements(arn))


def _proof_findings(case: Case, arns: Iterable[str]) -> Iterator[str]:
    try:
        from access.prover import Undecided, Unmodelled

        actions_of("s3")
    except (ImportError, ValueError) as error:
        yield f"The policies are not proved: {error}. Install the project with its tools (`make synth`)."
        return
    for arn in sorted(arns):
        try:
            yield from map(str, counterexamples(case, arn))
        except (Undecided, Unmodelled) as error:
            yield f"{arn}: not proved: {error}"
