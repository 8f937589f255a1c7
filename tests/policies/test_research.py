"""The policies of research environments, in several variants."""

from collections import Counter
from typing import Any

import pytest

from stacks.deployment import ResearchDeployment, load, parse
from tests.policies import matrix
from tests.policies.checks import Case, assert_as_intended, findings, read_case
from tests.policies.research_mutants import LAB, MUTANTS, SSO, distinct_mutants
from tests.policies.rows import disagreements
from tests.policies.simulator import Simulator
from tests.policies.terms import SERVICES_WITHOUT_SOURCE, Account, NamedRole, Service
from tests.templates import ROOT

VARIANTS: dict[str, tuple[str, dict[str, Any], dict[str, Any]]] = {
    "single sign-on": ("research.toml", {}, {}),
    "several images, a boundary, a workstation": ("research-images.toml", {}, {}),
    "ephemeral, internet access, readable buckets, pipelines": (
        "research.toml",
        {"ephemeral": True},
        {
            "network": "internet",
            "readable_buckets": ["example-cell-atlas"],
            "pipelines": [{"name": "qc", "schedule": "rate(1 day)"}, {"name": "by-hand"}],
        },
    ),
    "no image, no user, a workstation, readable buckets, in China": (
        "research.toml",
        {},
        {
            "region": "cn-north-1",
            "auth": "iam",
            "identity_center": None,
            **{key: [] for key in ("users", "groups", "spaces", "images")},
            "workstation": {},
            "vpc_id": "vpc-0123456789abcdef0",
            "subnet_ids": ["subnet-0123456789abcdef0"],
            "budget": None,
            "readable_buckets": ["example-cell-atlas"],
        },
    ),
}
CASES = {SSO: "single sign-on", LAB: "several images, a boundary, a workstation"}
"""The variants with mutants, by stack."""


@pytest.fixture(scope="module", params=VARIANTS)
def case(request: pytest.FixtureRequest) -> Case:
    return _variant(request.param)


def _variant(name: str) -> Case:
    file, head, research = VARIANTS[name]
    deployment = load(ROOT / "deployments" / file)
    if head or research:
        table = deployment.model_dump(mode="json", exclude_none=True)
        table |= head
        table["research"] = {k: v for k, v in {**table["research"], **research}.items() if v is not None}
        deployment = parse(table)
    assert isinstance(deployment, ResearchDeployment)
    return read_case(deployment)


def test_policies_are_as_intended(case: Case) -> None:
    assert_as_intended(case)
    assert len(case.inventory.roles) >= 9


@pytest.mark.exhaustive
@pytest.mark.parametrize("stack", CASES)
def test_matrix_agrees_with_intent(stack: str, simulator: Simulator) -> None:
    case = _variant(CASES[stack])
    rows = list(matrix.rows(case.deployment, case.inventory, case.intent))
    found = disagreements(rows, simulator)
    assert not found, "\n".join(map(str, found[:20]))
    assert len(rows) > 10_000
    assert Counter(row.expected for row in rows)[True] > 2_000


def test_requests_of_researchers_and_jobs_are_allowed(simulator: Simulator) -> None:
    """The requests of each step, with all policies together. The simulator also decides similar requests."""
    case = _variant(CASES[LAB])
    bucket, key = (case.inventory.of_kind(kind)[0].arn for kind in ("bucket", "key"))
    sagemaker = "arn:aws:sagemaker:eu-central-1:555555555555"
    ada, guest, jobs = "role coatcheck-lab-studio-ada", "role coatcheck-lab-studio", "role coatcheck-lab-processing"
    processing_role = "arn:aws:iam::555555555555:role/coatcheck-lab-processing"
    service = "sagemaker for 555555555555"
    needed = {
        *((caller, "s3:PutObject", f"{bucket}/shared/one") for caller in (ada, guest, jobs)),
        (ada, "s3:GetObject", f"{bucket}/users/ada/one"),
        (guest, "s3:GetObject", f"{bucket}/users/guest/one"),
        *((caller, "kms:Decrypt", key) for caller in (ada, guest, jobs)),
        *((caller, "s3:ListBucket", bucket) for caller in (ada, guest, jobs)),
        (ada, "sagemaker:CreateProcessingJob", f"{sagemaker}:processing-job/coatcheck-lab--one"),
        (ada, "iam:PassRole", processing_role),
        (ada, "kms:CreateGrant", key),
        (service, "sts:AssumeRole", processing_role),
    }
    rows = list(matrix.rows(case.deployment, case.inventory, case.intent, callers={caller for caller, _, _ in needed}))
    assert not disagreements(rows, simulator)
    allowed = {(row.caller.name, row.action, row.target.arn) for row in rows if row.expected}
    assert needed <= allowed, needed - allowed
    private = {(caller, resource) for caller, _, resource in allowed if "/users/" in resource and caller != service}
    assert private == {(ada, f"{bucket}/users/ada/one"), (guest, f"{bucket}/users/guest/one")}


def test_only_own_account_is_allowed(case: Case) -> None:
    principals = [
        grant.principal
        for resource in case.intent.resource_policies.values()
        if resource.kind != "endpoint"
        for grant in resource.grants
    ]
    assert {type(principal) for principal in principals} <= {Account, NamedRole, Service}
    assert {principal.id for principal in principals if isinstance(principal, Account)} == {"555555555555"}
    roles = {principal.arn for principal in principals if isinstance(principal, NamedRole)}
    assert {role.split(":")[4] for role in roles} <= {"555555555555"}
    services = [principal for principal in principals if isinstance(principal, Service)]
    accounts = {service.account for service in services if service.name not in SERVICES_WITHOUT_SOURCE}
    assert accounts == {"555555555555"}


WITHOUT_RESOURCE = {
    *("ecr:GetAuthorizationToken", "cloudwatch:PutMetricData", "logs:PutResourcePolicy"),
    *("xray:PutTraceSegments", "xray:PutTelemetryRecords"),
    *("logs:CreateLogGroup", "logs:CreateLogStream", "logs:PutLogEvents"),
}
"""Actions on `*`, in the caller's account. AWS accepts no resource for them, or CDK names none."""


def test_no_role_acts_in_another_account(case: Case) -> None:
    """The statement of intent has permissions for resources of the account, and `*` for harmless actions only."""
    research = case.deployment.research
    assert research
    own = f"-{research.account}-{research.region}"
    checked = 0
    for role, permissions in case.intent.role_permissions.items():
        for permission in permissions:
            for resource in permission.resources:
                if resource == "*":
                    verbs = {action.partition(":")[2] for action in set(permission.actions) - WITHOUT_RESOURCE}
                    assert all(verb.startswith(("List", "Describe")) or "LogDelivery" in verb for verb in verbs), role
                else:
                    account, bucket = resource.split(":")[4], resource.partition(":::")[2].partition("/")[0]
                    assert account == research.account or bucket.endswith(own) or bucket in research.readable_buckets
                checked += 1
    assert checked > 20


@pytest.mark.exhaustive
@pytest.mark.parametrize("stack", CASES)
def test_mutants_are_found(stack: str, simulator: Simulator) -> None:
    case = _variant(CASES[stack])
    found = {mutant.name: findings(case, mutant.apply(case.stacks), simulator) for mutant in MUTANTS[stack]}
    survivors = [name for name, by_check in found.items() if not by_check]
    assert not survivors
    # Each engine finds many of them without the other.
    assert sum("prover" in by_check for by_check in found.values()) > len(found) // 3
    assert sum("matrix" in by_check for by_check in found.values()) > len(found) // 4


@pytest.mark.exhaustive
def test_generated_mutants_are_found(simulator: Simulator) -> None:
    """The matrix is asked about mutants of which the prover is undecided."""
    case = _variant(CASES[SSO])
    mutants = list(distinct_mutants(case.stacks))
    undecided = [mutant for mutant in mutants if not findings(case, mutant.apply(case.stacks), None)]
    assert len(undecided) < len(mutants) // 20
    survivors = [mutant.name for mutant in undecided if not findings(case, mutant.apply(case.stacks), simulator)]
    assert not survivors
    assert len(mutants) > 400
