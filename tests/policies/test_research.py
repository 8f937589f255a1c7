"""Research environments: what their templates allow is what is meant, in every variant."""

from collections import Counter
from typing import Any

import pytest

from stacks.deployment import ResearchDeployment, load, parse
from tests.policies import matrix
from tests.policies.research_mutants import BY_HAND, LAB, SSO, every_way_once
from tests.policies.rows import disagreements
from tests.policies.simulator import Simulator
from tests.policies.terms import SERVICES_WITHOUT_SOURCE, Account, Named, Service
from tests.policies.verdict import Judged, caught, counterexamples, judged, settings, unaccounted
from tests.templates import ROOT, synthesize

VARIANTS: dict[str, tuple[str, dict[str, Any], dict[str, Any]]] = {
    "sso": ("research.toml", {}, {}),
    "several images, a boundary, a workstation": ("research-images.toml", {}, {}),
    "ephemeral, open to the internet, readable buckets, pipelines": (
        "research.toml",
        {"ephemeral": True},
        {
            "network": "internet",
            "readable_buckets": ["example-cell-atlas"],
            "pipelines": [{"name": "qc", "schedule": "rate(1 day)"}, {"name": "by-hand"}],
        },
    ),
    "no image, nobody, a workstation, readable buckets, in China": (
        "research.toml",
        {},
        {
            "region": "cn-north-1",
            "auth": "iam",
            "identity_center": None,
            **{each: [] for each in ("users", "groups", "spaces", "images")},
            "workstation": {},
            "readable_buckets": ["example-cell-atlas"],
        },
    ),
}


@pytest.fixture(scope="module", params=VARIANTS)
def case(request: pytest.FixtureRequest) -> Judged:
    return _variant(request.param)


def _variant(name: str) -> Judged:
    file, head, research = VARIANTS[name]
    deployment = load(ROOT / "deployments" / file)
    if head or research:
        table = deployment.model_dump(mode="json", exclude_none=True)
        table |= head
        table["research"] = {k: v for k, v in {**table["research"], **research}.items() if v is not None}
        deployment = parse(table)
    assert isinstance(deployment, ResearchDeployment)
    return judged(deployment, synthesize(deployment))


def test_everything_is_accounted_for(case: Judged) -> None:
    assert not unaccounted(case)
    assert len(case.found.roles) >= 9


def test_settings(case: Judged) -> None:
    assert not settings(case)


def test_proof(case: Judged) -> None:
    found = list(counterexamples(case))
    assert not found, "\n\n".join(map(str, found))


@pytest.mark.parametrize("name", list(VARIANTS)[:2])
def test_matrix(name: str, simulator: Simulator) -> None:
    case = _variant(name)
    rows = list(matrix.rows(case.deployment, case.found, case.intent))
    found = disagreements(rows, simulator)
    assert not found, "\n".join(map(str, found[:20]))
    assert len(rows) > 10_000
    assert Counter(row.expected for row in rows)[True] > 2_000


def test_what_researchers_and_their_jobs_do_is_open(simulator: Simulator) -> None:
    """Liveness, spelled out."""
    case = _variant("several images, a boundary, a workstation")
    bucket, key = (case.found.of_kind(kind)[0].arn for kind in ("bucket", "key"))
    sagemaker = "arn:aws:sagemaker:eu-central-1:555555555555"
    ada, guest, jobs = "role coatcheck-lab-studio-ada", "role coatcheck-lab-studio", "role coatcheck-lab-processing"
    passed = "arn:aws:iam::555555555555:role/coatcheck-lab-processing"
    needed = {
        *((who, "s3:PutObject", f"{bucket}/shared/one") for who in (ada, guest, jobs)),
        (ada, "s3:GetObject", f"{bucket}/users/ada/one"),
        (guest, "s3:GetObject", f"{bucket}/users/guest/one"),
        # A read of an encrypted object is two requests.
        *((who, "kms:Decrypt", key) for who in (ada, guest, jobs)),
        *((who, "s3:ListBucket", bucket) for who in (ada, guest, jobs)),
        (ada, "sagemaker:CreateProcessingJob", f"{sagemaker}:processing-job/coatcheck-lab-one"),
        (ada, "iam:PassRole", passed),
        (ada, "kms:CreateGrant", key),
        ("sagemaker for 555555555555", "sts:AssumeRole", passed),
    }
    actors = {who for who, _, _ in needed}
    rows = [row for row in matrix.rows(case.deployment, case.found, case.intent) if row.caller.who in actors]
    answers = simulator.answer([row.question() for row in rows])
    allowed = {
        (row.caller.who, row.action, row.target.arn)
        for row, answer in zip(rows, answers, strict=True)
        if answer.allowed
    }
    assert needed <= allowed, needed - allowed
    others = {(who, action, on) for who, action, on in allowed if who in (ada, guest, jobs) and "/users/" in on}
    assert {on for who, _, on in others if who == ada} == {f"{bucket}/users/ada/one"}
    assert {on for who, _, on in others if who == guest} == {f"{bucket}/users/guest/one"}
    assert not {on for who, _, on in others if who == jobs}


def test_nobody_of_another_account_is_let_in(case: Judged) -> None:
    doors = [door for guard in case.intent.guards.values() if guard.kind != "endpoint" for door in guard.doors]
    assert {type(door.who) for door in doors} <= {Account, Named, Service}
    assert {door.who.id for door in doors if isinstance(door.who, Account)} == {"555555555555"}
    assert {door.who.arn.split(":")[4] for door in doors if isinstance(door.who, Named)} <= {"555555555555"}


def test_every_service_names_its_account(case: Judged) -> None:
    services = [
        door.who
        for guard in case.intent.guards.values()
        for door in guard.doors
        if isinstance(door.who, Service) and door.who.name not in SERVICES_WITHOUT_SOURCE
    ]
    assert len(services) > 5
    assert {service.account for service in services} == {"555555555555"}


OF_NO_RESOURCE = {
    *("ecr:GetAuthorizationToken", "cloudwatch:PutMetricData", "logs:PutResourcePolicy"),
    *("xray:PutTraceSegments", "xray:PutTelemetryRecords"),
    *("logs:CreateLogGroup", "logs:CreateLogStream", "logs:PutLogEvents"),
}
"""In the caller's account, besides what lists or describes: AWS takes no resource, or CDK gives none."""


def test_no_role_acts_in_another_account(case: Judged) -> None:
    """The statement of intent itself: what roles are for is in the account, or asked of no account in particular."""
    research = case.deployment.research
    assert research
    own = f"-{research.account}-{research.region}"
    checked = 0
    for role, job in ((role, job) for role, jobs in case.intent.jobs.items() for job in jobs):
        for on in job.on:
            if on == "*":
                verbs = {action.partition(":")[2] for action in job.may if action not in OF_NO_RESOURCE}
                assert not [v for v in verbs if not v.startswith(("List", "Describe")) and "LogDelivery" not in v], role
            else:
                owner, bucket = on.split(":")[4], on.partition(":::")[2].partition("/")[0]
                assert owner == research.account or bucket.endswith(own) or bucket in research.readable_buckets, on
            checked += 1
    assert checked > 20


CASES = {SSO: "sso", LAB: "several images, a boundary, a workstation"}


@pytest.mark.exhaustive
@pytest.mark.parametrize("stack", CASES)
def test_what_a_hostile_reader_thinks_of(stack: str, simulator: Simulator) -> None:
    """Either engine is asked, apart: each has to notice most of what is a policy's."""
    case = _variant(CASES[stack])
    noticed = {each.name: caught(case, each.of(case.stacks), simulator) for each in BY_HAND[stack]}
    survivors = [name for name, by in noticed.items() if not by]
    assert not survivors
    assert sum("prover" in by for by in noticed.values()) > len(noticed) // 3
    assert sum("matrix" in by for by in noticed.values()) > len(noticed) // 4


@pytest.mark.exhaustive
def test_every_part_of_every_statement_is_needed(simulator: Simulator) -> None:
    """By the prover; by the matrix where that is undecided, as it can be about a policy that is broken."""
    case = _variant(CASES[SSO])
    mutants = list(every_way_once(case.stacks))
    unproved = [each for each in mutants if not caught(case, each.of(case.stacks), None)]
    assert len(unproved) < len(mutants) // 20
    assert not [each.name for each in unproved if not caught(case, each.of(case.stacks), simulator)]
    assert len(mutants) > 200
