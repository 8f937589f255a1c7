"""All findings of a deployment: templates -> documents -> intent -> findings. None: everything was read and proved.

The prover needs z3 and the list of AWS's actions (npm). Without them, the policies are not proved, which is a finding.
"""

import re
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from access.actions import actions_of
from access.assembly import StackTemplate
from access.intent import build_intent
from access.inventory import Inventory, Policy, Statement
from access.policies import read_inventory
from access.table import property_findings
from access.terms import Account, AnyPrincipal, Intent, NamedRole, ResourceIntent, Roles, Service
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


def findings(case: Case, *, prove: bool = True) -> Iterator[str]:
    """Yield the differences between a deployment's templates and its intent, and what is not proved."""
    yield from unmatched(case)
    yield from property_findings(case.inventory, case.intent.resources)
    yield from unintended_principals(case)
    yield from unintended_grants(case)
    yield from unnamed_sessions(case)
    if prove:
        yield from _proof_findings(case)


def unmatched(case: Case) -> Iterator[str]:
    """Yield the resources with a policy and the roles that are only in the templates or only in the intent."""
    for templates, intent in (
        (case.inventory.resource_policies.keys(), case.intent.resource_policies.keys()),
        (case.inventory.roles.keys(), case.intent.role_permissions.keys()),
    ):
        yield from (f"{arn} is only in the templates" for arn in sorted(templates - intent))
        yield from (f"{arn} is only in the intent" for arn in sorted(intent - templates))


def unintended_principals(case: Case) -> Iterator[str]:
    """Yield the principals of Allow statements that the intent does not name for the resource.

    A condition may deny their requests. Then the condition would be the only protection.
    """
    for arn, resource in case.inventory.resource_policies.items():
        intended = set(_intended_principals(case.intent.resource_policies.get(arn)))
        for statement in resource.policy["Statement"]:
            for principal in _principals(statement) if statement.get("Effect") == "Allow" else ():
                if principal not in intended:
                    yield f"{resource.where}: allows {principal}, a principal that is not in the intent"


def unintended_grants(case: Case) -> Iterator[str]:
    """Yield the statements for a role of the resource's own account that differ from the intent.

    Such a statement alone gives the role access, and the prover leaves roles of that account to their own policies.
    """
    for arn, resource in case.inventory.resource_policies.items():
        intent = case.intent.resource_policies.get(arn)
        intended = [
            (grant.principal.arn, set(grant.actions), set(grant.resources), bool(grant.conditions))
            for grant in (intent.grants if intent else ())
            if isinstance(grant.principal, NamedRole)
        ]
        for statement in resource.policy["Statement"]:
            for principal in _principals(statement) if statement.get("Effect") == "Allow" else ():
                if f":iam::{resource.account}:role/" not in principal:
                    continue
                actions, resources = (set(_as_list(statement.get(key, ()))) for key in ("Action", "Resource"))
                if (principal, actions, resources, "Condition" in statement) not in intended:
                    yield f"{resource.where}: allows {principal} other actions or resources than the intent"


def _as_list(value: Any) -> list[str]:
    return [value] if isinstance(value, str) else list(value)


def unnamed_sessions(case: Case) -> Iterator[str]:
    """Yield the statements for a researcher's own prefix that do not require the session to name the researcher.

    A variable without a value matches nothing. The condition does not rely on this.
    """
    for role in case.inventory.roles.values():
        for statement in (statement for policy in role.policies for statement in policy["Statement"]):
            required = statement.get("Condition", {}).get("Null", {}).get("aws:SourceIdentity") == "false"
            if "${aws:SourceIdentity}" in str(statement) and not required:
                yield f"{role.where}: statement {statement.get('Sid')} does not require a source identity"


def _principals(statement: Statement) -> Iterator[str]:
    principals = statement.get("Principal", "NotPrincipal")
    for values in principals.values() if isinstance(principals, dict) else [principals]:
        for value in values if isinstance(values, list) else [values]:
            yield re.sub(r"arn:[a-z-]+:iam::([0-9]{12}):root", r"\1", str(value))


def _intended_principals(intent: ResourceIntent | None) -> Iterator[str]:
    for grant in intent.grants if intent else ():
        match grant.principal:
            case Account(account) | Roles(account, _):
                yield account
            case NamedRole(name) | Service(name):
                yield name
            case AnyPrincipal():
                yield "*"


def counterexamples(case: Case, arns: Iterable[str] | None = None) -> Iterator["Counterexample"]:
    """Yield the prover's counterexamples for some resources and roles, by default for all.

    Raises:
        Undecided: the solver neither found a counterexample nor excluded one.
        Unmodelled: a policy contains an element that the prover does not model.
    """
    from access.prover import prove_resource_policy, prove_role

    inventory, intent = case.inventory, case.intent
    for arn in sorted(arns if arns is not None else {*inventory.resource_policies, *inventory.roles}):
        if arn in inventory.resource_policies and arn in intent.resource_policies:
            yield from prove_resource_policy(inventory.resource_policies[arn], intent.resource_policies[arn])
        if arn in inventory.roles and arn in intent.role_permissions:
            yield from prove_role(inventory.roles[arn], intent.role_permissions[arn], intent.stated.get(arn, ()))


def _proof_findings(case: Case) -> Iterator[str]:
    try:
        from access.prover import Undecided, Unmodelled

        actions_of("s3")
    except (ImportError, ValueError) as error:
        yield f"The policies are not proved: {error}. Install the project with its tools (`make synth`)."
        return
    for arn in sorted({*case.inventory.resource_policies, *case.inventory.roles}):
        try:
            yield from map(str, counterexamples(case, [arn]))
        except (Undecided, Unmodelled) as error:
            yield f"{arn}: not proved: {error}"
