"""Denied requests, and what the emulator does not offer: quotas, Regions, organisations, the analyzer."""

from __future__ import annotations

from typing import Any

import pytest
from botocore.exceptions import EndpointConnectionError

from access.assembly import StackTemplate
from cli.doctor import accounts
from cli.doctor.policies import UNREADABLE, Compared, analyzer_findings
from cli.doctor.requests import AbsentError, Requests
from cli.page import Finding
from stacks.deployment.service_quotas import Quota
from tests.cli.doctor.conftest import ACCOUNT, REGION, FakeClients
from tests.stacks.schemas import schema

STACK = StackTemplate(
    "a",
    "a",
    ACCOUNT,
    REGION,
    {"Resources": {"C": {"Type": "AWS::ECS::Cluster"}}},
    bootstrap=("/cdk-bootstrap/q/version", 6),
)


def texts(findings: Any) -> list[str]:
    return [f"{found.level} {found.text}" for found in findings if isinstance(found, Finding)]


def test_denied_request_names_the_permission_once(clients: FakeClients, requests: Requests) -> None:
    message = "User: arn:… is not authorized to perform: sns:ListTopics on resource: arn:…"
    clients.stub("sns").add_client_error("list_topics", "AuthorizationError", message)
    assert requests.ask("sns", "list_topics", REGION) is None
    assert requests.ask("sns", "list_topics", REGION) is None  # asked once
    assert requests.refused == [("sns:ListTopics", "not allowed", f"{ACCOUNT} {REGION}")]


def test_part_of_a_list_is_no_answer(clients: FakeClients, requests: Requests) -> None:
    """What is on the pages that were not read would be reported as missing."""
    stub, topic = clients.stub("sns"), {"TopicArn": "arn:aws:sns:us-east-1:123456789012:messages"}
    stub.add_response("list_subscriptions_by_topic", {"Subscriptions": [], "NextToken": "more"}, topic)
    stub.add_client_error("list_subscriptions_by_topic", "Throttled", "Rate exceeded")
    assert list(requests.pages("sns", "list_subscriptions_by_topic", REGION, **topic)) == []
    assert requests.refused == [("sns:ListSubscriptionsByTopic", "Throttled: Rate exceeded", f"{ACCOUNT} {REGION}")]


def test_service_prefixes_are_those_of_iam(clients: FakeClients, requests: Requests) -> None:
    clients.stub("accessanalyzer").add_client_error("list_analyzers", "AccessDeniedException", "no")
    clients.stub("service-quotas").add_client_error("list_services", "AccessDeniedException", "no")
    assert requests.ask("accessanalyzer", "list_analyzers", REGION) is None
    assert requests.ask("service-quotas", "list_services", REGION) is None
    permissions = [permission for permission, _, _ in requests.refused]
    assert permissions == ["access-analyzer:ListAnalyzers", "servicequotas:ListServices"]


def test_request_without_network_is_recorded(requests: Requests, monkeypatch: pytest.MonkeyPatch) -> None:
    client = requests._clients.client("sts", account=ACCOUNT, region=REGION)

    def unreachable() -> None:
        raise EndpointConnectionError(endpoint_url="https://sts")

    monkeypatch.setattr(client, "get_caller_identity", unreachable)
    assert requests.ask("sts", "get_caller_identity", REGION) is None
    assert requests.refused[0][1].startswith("EndpointConnectionError")


@pytest.mark.parametrize("code", ["NoSuchEntity", "ParameterNotFound", "AWS.SimpleQueueService.NonExistentQueue"])
def test_missing_resource_is_absent(code: str, clients: FakeClients, requests: Requests) -> None:
    clients.stub("iam").add_client_error("get_role", code, "gone")
    with pytest.raises(AbsentError):
        requests.ask("iam", "get_role", REGION, RoleName="a")


def test_disabled_region_is_a_problem(clients: FakeClients, requests: Requests) -> None:
    regions = [{"RegionName": REGION, "OptInStatus": "not-opted-in"}]
    clients.stub("ec2").add_response("describe_regions", {"Regions": regions})
    (found,) = texts(accounts.region_findings(requests, [STACK]))
    assert found.startswith(
        f"problem {ACCOUNT} {REGION}: the Region is not-opted-in. Enable it: aws account enable-region"
    )


def test_account_api_is_asked_if_ec2_denies(clients: FakeClients, requests: Requests) -> None:
    clients.stub("ec2").add_client_error("describe_regions", "UnauthorizedOperation", "no")
    clients.stub("account").add_response("get_region_opt_status", {"RegionName": REGION, "RegionOptStatus": "DISABLED"})
    (found,) = texts(accounts.region_findings(requests, [STACK]))
    assert "the Region is DISABLED" in found


def test_old_bootstrap_stack_is_a_problem(clients: FakeClients, requests: Requests) -> None:
    clients.stub("ssm").add_response(
        "get_parameter", {"Parameter": {"Value": "5"}}, {"Name": "/cdk-bootstrap/q/version"}
    )
    (found,) = texts(accounts.bootstrap_findings(requests, [STACK]))
    assert "the bootstrap stack has version 5, and 6 is needed. Run: npx cdk bootstrap --qualifier q aws://" in found


def test_missing_ecs_role_is_noted(clients: FakeClients, requests: Requests) -> None:
    clients.stub("iam").add_client_error("get_role", "NoSuchEntity", "gone")
    (found,) = texts(accounts.ecs_role_findings(requests, [STACK]))
    assert "aws iam create-service-linked-role --aws-service-name ecs.amazonaws.com" in found


@pytest.mark.parametrize(("applied", "count"), [(10.0, 1), (11.0, 0), (None, 0)])
def test_low_quota_is_a_problem(applied: float | None, count: int, clients: FakeClients, requests: Requests) -> None:
    """The account's own value precedes the default."""
    quota = Quota("lambda", "Concurrent executions", 11, 1000)
    name, code = {"QuotaName": quota.name}, {"ServiceCode": "lambda"}
    stub = clients.stub("service-quotas")
    stub.add_response("list_aws_default_service_quotas", {"Quotas": [{**name, "Value": 1000.0}]}, code)
    stub.add_response("list_service_quotas", {"Quotas": [{**name, "Value": applied}] if applied else []}, code)
    found = texts(accounts.quota_findings(requests, REGION, [quota]))
    assert len(found) == count
    assert all("Concurrent executions (lambda) is 10, and 11 are needed" in text for text in found)


def test_closed_account_is_a_problem(clients: FakeClients, requests: Requests) -> None:
    stub = clients.stub("organizations")
    for account, status in (("1" * 12, "ACTIVE"), ("3" * 12, "SUSPENDED")):
        stub.add_response("describe_account", {"Account": {"Id": account, "Status": status}}, {"AccountId": account})
    stub.add_client_error("describe_account", "AccountNotFoundException", "no")
    found = texts(accounts.organization_findings(requests, REGION, ["1" * 12, "3" * 12, "4" * 12]))
    assert found[0].startswith(
        "problem 333333333333: is SUSPENDED. A policy that names a closed account cannot be changed"
    )
    assert found[1].startswith("note 444444444444: is not in the organisation of")


def test_analyzer_finds_errors_and_new_access(clients: FakeClients, requests: Requests) -> None:
    policy = {"Statement": [{"Effect": "Allow", "Principal": "*", "Action": "s3:GetObject", "Resource": "*"}]}
    stub = clients.stub("accessanalyzer")
    details = {"learnMoreLink": "", "locations": []}
    stub.add_response(
        "validate_policy",
        {
            "findings": [
                {"findingType": "SECURITY_WARNING", "issueCode": "A", "findingDetails": "B", **details},
                {"findingType": "SUGGESTION", "issueCode": "C", "findingDetails": "D", **details},
            ]
        },
    )
    stub.add_response("check_no_new_access", {"result": "FAIL"})
    expected = {"Statement": [{**policy["Statement"][0], "Principal": {"AWS": ACCOUNT}}]}
    compared = Compared("a/B", ACCOUNT, REGION, "bucket policy", expected, policy, "bucket")
    found = texts(analyzer_findings({ACCOUNT: requests}, [compared]))
    assert found == [
        "problem a/B: bucket policy: A: B",
        "problem a/B: the deployed bucket policy allows more than the template.",
    ]
    stub.assert_no_pending_responses()


def test_unreadable_policies_are_those_of_the_schemas() -> None:
    types = {
        "bucket": "AWS::S3::BucketPolicy",
        "key": "AWS::KMS::Key",
        "topic": "AWS::SNS::TopicPolicy",
        "queue": "AWS::SQS::QueuePolicy",
        "bus": "AWS::Events::EventBusPolicy",
        "function": "AWS::Lambda::Permission",
        "role": "AWS::IAM::Role",
        "identity": "AWS::IAM::Policy",
        "repository": "AWS::ECR::Repository",
        "endpoint": "AWS::EC2::VPCEndpoint",
    }
    assert {kind for kind, name in types.items() if "read" not in schema(name)["handlers"]} == set(UNREADABLE)
