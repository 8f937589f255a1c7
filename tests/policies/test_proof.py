"""Examples, variants and generated deployments have no finding: everything is read, intended and proved."""

import json
from collections import Counter
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st

from access.findings import Case, findings
from access.inventory import Role
from access.prover import prove
from access.terms import SERVICES_WITHOUT_SOURCE, Account, NamedRole, Permission, Service
from stacks.deployment import Deployment, load, parse_messaging
from stacks.deployment.regions import is_opt_in, partition
from tests.policies.cases import BOUNDARIES, case_of
from tests.policies.cases import example as example_case
from tests.templates import EXAMPLES, ROOT

ACCOUNTS = [str(digit) * 12 for digit in range(1, 7)]
REGIONS = {
    "aws": ["us-east-1", "us-west-2", "eu-central-1", "ap-east-1", "me-south-1"],
    "aws-cn": ["cn-north-1", "cn-northwest-1"],
    "aws-us-gov": ["us-gov-west-1", "us-gov-east-1"],
    "aws-eusc": ["eusc-de-east-1"],
}


@st.composite
def deployments(draw: st.DrawFn, most: int) -> Deployment:
    regions = REGIONS[draw(st.sampled_from(["aws", "aws", "aws", *REGIONS]))]
    account, region = draw(st.sampled_from(ACCOUNTS)), draw(st.sampled_from(regions))
    fifo = draw(st.booleans())
    subscribers: list[dict[str, Any]] = []
    for index in range(draw(st.integers(1, most))):
        # The deployment file rejects Regions between which SNS does not deliver.
        own_region = draw(
            st.sampled_from([r for r in regions if r == region or not (is_opt_in(r) and is_opt_in(region))])
        )
        # The deployment file rejects functions where SNS does not invoke them: tests/stacks/deployment/test_checks.py.
        function_possible = not fifo and (own_region == region or not is_opt_in(own_region))
        kinds = ["sqs", *(["lambda"] if function_possible else []), *([] if fifo else ["https"])]
        home, kind = draw(st.sampled_from(ACCOUNTS)), draw(st.sampled_from(kinds))
        https = {"endpoint": f"https://{index}.example/in", "reader_principals": draw(_roles_of(home, region))}
        subscribers.append(
            {"name": f"team-s{index}", "kind": kind, "account": home, "region": own_region}
            | (https if kind == "https" else {})
            | (draw(st.sampled_from([{}, {"landing": {}}])) if kind == "sqs" else {})
            | ({"network": draw(_networks())} if kind == "lambda" and draw(st.booleans()) else {})
        )
    senders = [
        {"name": f"team-t{index}", "account": draw(st.sampled_from(ACCOUNTS)), "region": draw(st.sampled_from(regions))}
        for index in range(draw(st.integers(0, 3)))
    ]
    return _deployment(
        subscribers,
        senders=senders,
        publisher={
            "account": account,
            "region": region,
            "replicas": draw(st.sampled_from([[], sorted({table["region"] for table in subscribers} - {region})])),
            "fifo": fifo,
            "detail_types": draw(st.sampled_from([[], ["order.placed"], ["order.placed", "Order cancelled"]])),
        },
        organization=draw(st.sampled_from([None, "o-a1b2c3d4e5"])),
        ephemeral=draw(st.booleans()),
    )


def _networks() -> st.SearchStrategy[dict[str, Any]]:
    network = {"vpc_id": "vpc-0123456789abcdef0", "subnet_ids": ["subnet-0123456789abcdef0"]}
    return st.sampled_from(
        [network, network | {"security_group_ids": ["sg-0123456789abcdef0"], "assign_public_ip": True}]
    )


def _roles_of(account: str, region: str) -> st.SearchStrategy[list[str]]:
    role = f"arn:{partition(region)}:iam::{account}:role/web"
    return st.sampled_from([[], [role], [role, f"{role}/server"]])


def _deployment(subscribers: list[dict[str, Any]], **table: Any) -> Deployment:
    values = {key: value for key, value in table.items() if value is not None}
    return parse_messaging({"name": "big-coat", **values, "subscribers": subscribers})


TWENTY = _deployment(
    [
        {
            "name": f"s{index}",
            "kind": ("sqs", "lambda")[index % 2],
            "account": ACCOUNTS[index % 6],
            "region": REGIONS["aws"][index % 3],
        }
        for index in range(20)
    ],
    publisher={"account": ACCOUNTS[0], "region": "us-east-1"},
    senders=[{"name": f"t{index}", "account": account} for index, account in enumerate(ACCOUNTS[:3])],
    organization="o-a1b2c3d4e5",
)
SLOW = settings(deadline=None, suppress_health_check=[HealthCheck.too_slow])


def test_variant_has_no_finding(variant: Case) -> None:
    assert not list(findings(variant))


@pytest.mark.exhaustive
@pytest.mark.parametrize("file", EXAMPLES, ids=lambda path: path.stem)
def test_example_has_no_finding(file: Path) -> None:
    assert not list(findings(case_of(load(file))))


@pytest.mark.exhaustive
@settings(SLOW, max_examples=6)
@example(deployment=TWENTY)
@given(deployment=deployments(most=20))
def test_generated_deployment_has_no_finding(deployment: Deployment) -> None:
    assert not list(findings(case_of(deployment)))


PERMISSIONS: list[dict[str, Any]] = [
    {"Effect": "Allow", "Action": ["ssm:GetParameter", "ssm:GetParameters"], "Resource": "*"},
    {"Effect": "Deny", "Action": "ssm:GetParameter", "Resource": "arn:aws:ssm:*:*:parameter/secret/*"},
    {
        "Effect": "Allow",
        "Action": "dynamodb:PutItem",
        "Resource": "arn:aws:dynamodb:us-west-2:222222222222:table/o",
        "Condition": {"StringEquals": {"aws:PrincipalTag/team": "orders"}, "Null": {"aws:SourceIdentity": "true"}},
    },
]


def with_permissions(folder: Path, permissions: list[dict[str, Any]]) -> Deployment:
    (folder / "a.json").write_text('{"StartAt": "Done", "States": {"Done": {"Type": "Succeed"}}}')
    (folder / "b.json").write_text(json.dumps(permissions))
    table = json.loads(load(ROOT / "deployments" / "example.toml").model_dump_json(exclude_none=True))
    table["subscribers"][0]["state_machine"] = {
        "definition": str(folder / "a.json"),
        "permissions": str(folder / "b.json"),
    }
    return parse_messaging(table)


def test_permissions_of_file_are_intended(tmp_path: Path) -> None:
    """With Deny and Condition. The intent without one of these statements differs."""
    case = case_of(with_permissions(tmp_path, PERMISSIONS))
    assert not list(findings(case))
    ((role, stated),) = case.intent.stated.items()
    for index in range(len(stated)):
        case.intent.stated[role] = (*stated[:index], *stated[index + 1 :])
        assert any(finding.startswith(role) for finding in findings(case))


def test_every_document_is_judged(variant: Case) -> None:
    """The documents of the templates, counted without the reader's knowledge, are those of the inventory."""
    kinds = ("AWS::Lambda::Permission", "AWS::Events::EventBusPolicy")
    documents = sum(
        resource["Type"] in kinds or _documents(resource.get("Properties", {}))
        for stack in variant.stacks
        for resource in stack.template["Resources"].values()
    )
    assert variant.inventory.documents == documents > 10


def _documents(node: Any) -> int:
    items = node.values() if isinstance(node, dict) else node if isinstance(node, list) else ()
    return (isinstance(node, dict) and "Statement" in node) + sum(map(_documents, items))


def test_cross_account_grants_are_the_contract(in_organization: Case) -> None:
    """The statement of intent has no other grant to a principal of another account."""
    grants = [
        (resource.kind, grant.actions)
        for arn, resource in in_organization.inventory.resource_policies.items()
        for grant in in_organization.intent.resource_policies[arn].grants
        if getattr(grant.principal, "account", getattr(grant.principal, "id", None)) not in (resource.account, None)
    ]
    assert Counter(grants) == {
        ("bucket", ("s3:GetObject",)): 2,
        ("bucket", ("s3:PutObject", "s3:AbortMultipartUpload", "s3:PutObjectAcl")): 1,
        ("key", ("kms:Decrypt",)): 2,
        ("key", ("kms:GenerateDataKey", "kms:Decrypt")): 1,
        ("topic", ("sns:Subscribe",)): 2,
        ("bus", ("events:PutEvents",)): 2,
    }


def test_services_have_a_source_condition(variant: Case) -> None:
    """Protection against confused deputies. Lambda and S3 cannot have a source condition."""
    for arn, resource in variant.inventory.resource_policies.items():
        for grant in variant.intent.resource_policies[arn].grants:
            if isinstance(grant.principal, Service) and not (grant.principal.sources or grant.principal.account):
                if resource.kind == "key":  # CloudWatch Logs: the log group in the context has the account
                    assert set(grant.conditions) == {"kms:EncryptionContext:aws:logs:arn"}
                    continue
                assert resource.kind == "role"
                assert grant.principal.name in SERVICES_WITHOUT_SOURCE


RESEARCH = ("research", "research-images")


@pytest.mark.parametrize("name", RESEARCH)
def test_research_allows_own_account_only(name: str) -> None:
    case = example_case(name)
    principals = [
        grant.principal
        for arn, resource in case.inventory.resource_policies.items()
        if resource.kind != "endpoint"
        for grant in case.intent.resource_policies[arn].grants
    ]
    assert {type(principal) for principal in principals} <= {Account, NamedRole, Service}
    assert {principal.id for principal in principals if isinstance(principal, Account)} == {"555555555555"}


WITHOUT_RESOURCE = {
    *("ecr:GetAuthorizationToken", "cloudwatch:PutMetricData", "logs:PutResourcePolicy"),
    *("xray:PutTraceSegments", "xray:PutTelemetryRecords"),
    *("logs:CreateLogGroup", "logs:CreateLogStream", "logs:PutLogEvents"),
}
"""Actions on `*`, in the caller's account. AWS accepts no resource for them, or CDK names none."""


@pytest.mark.parametrize("name", RESEARCH)
def test_research_roles_act_in_own_account(name: str) -> None:
    """The statement of intent has permissions for resources of the account, and `*` for harmless actions only."""
    case = example_case(name)
    research = case.deployment.research
    assert research
    own = f"-{research.account}-{research.region}"
    for role, permissions in case.intent.role_permissions.items():
        for permission in permissions:
            for resource in permission.resources:
                if resource == "*":
                    verbs = {action.partition(":")[2] for action in set(permission.actions) - WITHOUT_RESOURCE}
                    assert all(verb.startswith(("List", "Describe")) or "LogDelivery" in verb for verb in verbs), role
                else:
                    account, bucket = resource.split(":")[4], resource.partition(":::")[2].partition("/")[0]
                    assert account == research.account or bucket.endswith(own) or bucket in research.readable_buckets


def test_boundary_allows_permissions_of_roles() -> None:
    """The example's permissions boundary: the environment's services, and of IAM only passing its own roles."""
    arn = "arn:aws:iam::555555555555:policy/research-boundary"
    policy = BOUNDARIES[arn]
    services = (
        *("sagemaker:*", "s3:*", "kms:*", "ecr:*", "logs:*", "codebuild:*", "xray:*", "states:StartExecution"),
        *(
            "lambda:GetFunction",
            "lambda:InvokeFunction",
            "cloudwatch:PutMetricData",
            "ssm:GetParameter",
            "ec2:Describe*",
        ),
        *("ec2:CreateNetworkInterface", "ec2:DeleteNetworkInterface"),
        *("ec2:CreateNetworkInterfacePermission", "ec2:DeleteNetworkInterfacePermission"),
    )
    passed = Permission(
        ("iam:PassRole",),
        tuple(
            f"arn:aws:iam::555555555555:role/coatcheck-lab-{role}"
            for role in ("processing", "studio", "research-Roles*")
        ),
        {"iam:PassedToService": ("sagemaker.amazonaws.com",)},
    )
    role, intended = Role(arn, "555555555555", arn, (policy,)), (Permission(services, ("*",)), passed)
    assert not list(prove(role, [permission.statement for permission in intended]))
