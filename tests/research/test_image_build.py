"""The image build function, asked as CDK's provider framework asks, against CodeBuild's and ECR's real API models."""

import importlib
import sys
from collections.abc import Callable, Iterator
from types import ModuleType, SimpleNamespace
from typing import Any

import pytest
from botocore.stub import Stubber

PROPERTIES = {
    "ServiceToken": "arn:aws:lambda:us-east-1:555555555555:function:framework",
    "Project": "project",
    "Repository": "coatcheck-research/pegasus",
    "Tag": "studio-0123456789abcdef",
    "Source": "assets/context.zip",
}
IMAGE = {"repositoryName": PROPERTIES["Repository"], "imageIds": [{"imageTag": PROPERTIES["Tag"]}]}
START = {
    "projectName": "project",
    "sourceTypeOverride": "S3",
    "sourceLocationOverride": "assets/context.zip",
    "environmentVariablesOverride": [{"name": "TAG", "value": PROPERTIES["Tag"], "type": "PLAINTEXT"}],
    "idempotencyToken": "request",
}
BUILD = "project:1a2b"
DIGEST = "sha256:" + "0123456789abcdef" * 4
CONTEXT = SimpleNamespace(
    function_name="function",
    function_version="$LATEST",
    memory_limit_in_mb=1024,
    invoked_function_arn="arn:aws:lambda:us-east-1:555555555555:function:function",
    aws_request_id="request",
)


def event(kind: str, **more: Any) -> dict[str, Any]:
    physical = {} if kind == "Create" else {"PhysicalResourceId": "project"}
    return {
        "RequestType": kind,
        "RequestId": "request",
        "ResourceType": "Custom::ContainerImage",
        "ResourceProperties": PROPERTIES,
        **physical,
        **more,
    }


@pytest.fixture
def function(monkeypatch: pytest.MonkeyPatch) -> Iterator[ModuleType]:
    """The handler, loaded as a cold start does."""
    for name, value in {
        "AWS_ACCESS_KEY_ID": "testing",
        "AWS_SECRET_ACCESS_KEY": "testing",
        "AWS_DEFAULT_REGION": "us-east-1",
        "POWERTOOLS_SERVICE_NAME": "image_build",
    }.items():
        monkeypatch.setenv(name, value)
    monkeypatch.delenv("AWS_CA_BUNDLE", raising=False)
    sys.modules.pop("image_build.handler", None)
    yield importlib.import_module("image_build.handler")
    sys.modules.pop("image_build.handler", None)


@pytest.fixture
def aws(function: ModuleType) -> Iterator[SimpleNamespace]:
    """`codebuild`, `ecr`, `logs`: answers are queued, and all have to be asked for."""
    stubs = {name: Stubber(getattr(function.builder, name)) for name in ("codebuild", "ecr", "logs")}
    for stub in stubs.values():
        stub.activate()
    yield SimpleNamespace(**stubs)
    for stub in stubs.values():
        stub.assert_no_pending_responses()


Ask = Callable[[dict[str, Any]], dict[str, Any]]


@pytest.fixture
def ask(function: ModuleType) -> Ask:
    """What the function answers; an answer to the first question goes into the next, as the framework merges them."""

    def ask(event: dict[str, Any]) -> dict[str, Any]:
        answer = function.handler(event, CONTEXT)
        assert isinstance(answer, dict)
        return answer

    return ask


def there(aws: SimpleNamespace) -> None:
    aws.ecr.add_response("describe_images", {"imageDetails": [{"imageDigest": DIGEST}]}, IMAGE)


def missing(aws: SimpleNamespace) -> None:
    aws.ecr.add_client_error("describe_images", "ImageNotFoundException", expected_params=IMAGE)


def state(aws: SimpleNamespace, status: str, **more: Any) -> None:
    build = {"id": BUILD, "buildStatus": status, **more}
    aws.codebuild.add_response("batch_get_builds", {"builds": [build]}, {"ids": [BUILD]})


def test_a_new_image_is_built_and_answered_by_digest(aws: SimpleNamespace, ask: Ask) -> None:
    missing(aws)
    aws.codebuild.add_response("start_build", {"build": {"id": BUILD}}, START)
    begun = ask(event("Create"))
    assert begun == {"PhysicalResourceId": "project", "Build": BUILD}

    state(aws, "IN_PROGRESS")
    assert ask({**event("Create"), **begun}) == {"IsComplete": False}
    state(aws, "SUCCEEDED")
    there(aws)
    assert ask({**event("Create"), **begun}) == {"IsComplete": True, "Data": {"Digest": DIGEST}}


@pytest.mark.parametrize("kind", ["Create", "Update"])
def test_content_that_was_built_before_is_not_built_again(aws: SimpleNamespace, ask: Ask, kind: str) -> None:
    """An update with the same content, or the rollback to what there was: CodeBuild is not called at all."""
    there(aws)
    begun = ask(event(kind))
    assert begun["Build"] == ""
    there(aws)
    assert ask({**event(kind), **begun}) == {"IsComplete": True, "Data": {"Digest": DIGEST}}


def test_an_update_keeps_the_physical_id_so_that_nothing_is_deleted(aws: SimpleNamespace, ask: Ask) -> None:
    missing(aws)
    aws.codebuild.add_response("start_build", {"build": {"id": BUILD}}, START)
    assert ask(event("Update"))["PhysicalResourceId"] == "project"


def test_a_repeated_request_starts_no_second_build(aws: SimpleNamespace, ask: Ask) -> None:
    """Lambda or the framework may call again: CodeBuild knows the build by the request's id."""
    for _ in range(2):
        missing(aws)
        aws.codebuild.add_response("start_build", {"build": {"id": BUILD}}, START)
    assert ask(event("Create")) == ask(event("Create"))


@pytest.mark.parametrize("status", ["FAILED", "FAULT", "STOPPED", "TIMED_OUT"])
def test_a_build_that_fails_says_where_and_how_its_log_ends(aws: SimpleNamespace, ask: Ask, status: str) -> None:
    link = "https://console.aws.amazon.com/cloudwatch/home#logsV2:1"
    state(
        aws,
        status,
        logs={"groupName": "builds", "streamName": "stream", "deepLink": link},
        phases=[
            {"phaseType": "PROVISIONING", "phaseStatus": "SUCCEEDED"},
            {
                "phaseType": "BUILD",
                "phaseStatus": status,
                "contexts": [{"message": "Error while executing command: docker build"}],
            },
            {"phaseType": "COMPLETED"},
        ],
    )
    aws.logs.add_response(
        "get_log_events",
        {"events": [{"message": "ERROR: no wheel for hnswlib\n"}, {"message": "exit status 1\n"}]},
        {"logGroupName": "builds", "logStreamName": "stream", "limit": 15, "startFromHead": False},
    )
    with pytest.raises(Exception, match="ERROR: no wheel for hnswlib\nexit status 1") as failed:
        ask(event("Create", Build=BUILD))
    assert type(failed.value).__name__ == "ImageNotBuilt"
    assert f"CodeBuild {status} in BUILD (Error while executing command: docker build)" in str(failed.value)
    assert link in str(failed.value)


def test_what_is_said_fits_into_cloudformations_answer(aws: SimpleNamespace, ask: Ask) -> None:
    state(
        aws,
        "FAILED",
        logs={"groupName": "builds", "streamName": "stream", "deepLink": "https://link"},
        phases=[{"phaseType": "BUILD", "phaseStatus": "FAILED", "contexts": [{"message": "m" * 5000}]}],
    )
    aws.logs.add_response("get_log_events", {"events": [{"message": "x" * 900}] * 14 + [{"message": "the end"}]})
    with pytest.raises(Exception, match=r"the end$") as failed:
        ask(event("Create", Build=BUILD))
    assert len(str(failed.value)) < 2000


def test_a_build_that_never_began_has_no_log(aws: SimpleNamespace, ask: Ask) -> None:
    state(aws, "FAULT", currentPhase="QUEUED")
    with pytest.raises(Exception, match=r"(?s)FAULT in QUEUED \(no reason given\).*nothing was logged"):
        ask(event("Create", Build=BUILD))


def test_a_log_that_is_gone_does_not_hide_the_failure(aws: SimpleNamespace, ask: Ask) -> None:
    state(aws, "FAILED", logs={"groupName": "builds", "streamName": "stream"}, currentPhase="BUILD")
    aws.logs.add_client_error("get_log_events", "ResourceNotFoundException")
    with pytest.raises(Exception, match=r"FAILED in BUILD.*\n\(nothing was logged\)"):
        ask(event("Create", Build=BUILD))


def test_an_image_that_is_gone_after_its_build_is_an_error(aws: SimpleNamespace, ask: Ask) -> None:
    state(aws, "SUCCEEDED")
    missing(aws)
    with pytest.raises(Exception, match=r"has no image studio-.*Deploy again"):
        ask(event("Create", Build=BUILD))


def test_delete_stops_what_still_runs_and_keeps_the_images(aws: SimpleNamespace, ask: Ask) -> None:
    aws.codebuild.add_response(
        "list_builds_for_project",
        {"ids": ["project:2", "project:1"]},
        {"projectName": "project", "sortOrder": "DESCENDING"},
    )
    aws.codebuild.add_response(
        "batch_get_builds",
        {"builds": [{"id": "project:2", "buildStatus": "IN_PROGRESS"}, {"id": "project:1", "buildStatus": "FAILED"}]},
        {"ids": ["project:2", "project:1"]},
    )
    aws.codebuild.add_response("stop_build", {}, {"id": "project:2"})
    begun = ask(event("Delete"))
    assert begun["Stopped"] == ["project:2"]
    assert ask({**event("Delete"), **begun}) == {"IsComplete": True}


def test_delete_of_what_is_gone_succeeds(aws: SimpleNamespace, ask: Ask) -> None:
    aws.codebuild.add_client_error("list_builds_for_project", "ResourceNotFoundException")
    assert ask(event("Delete"))["Stopped"] == []
    aws.codebuild.add_response("list_builds_for_project", {})
    assert ask(event("Delete"))["Stopped"] == []


def test_an_error_of_the_registry_is_not_taken_for_a_missing_image(aws: SimpleNamespace, ask: Ask) -> None:
    aws.ecr.add_client_error("describe_images", "RepositoryNotFoundException", "no such repository")
    with pytest.raises(Exception, match="no such repository"):
        ask(event("Create"))
