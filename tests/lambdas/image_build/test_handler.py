"""The image build function, called as by CDK's provider framework, against the API models of CodeBuild and ECR."""

from collections.abc import Callable, Iterator
from types import ModuleType, SimpleNamespace
from typing import Any
from unittest.mock import ANY

import pytest
from botocore.stub import Stubber

from image_build.settings import Settings
from tests.lambdas.conftest import imported

SETTINGS = Settings(
    project="project",
    repository="coatcheck-research/pegasus",
    tag="studio-0123456789abcdef",
    source="assets/context.zip",
)
IMAGE = {"repositoryName": SETTINGS.repository, "imageIds": [{"imageTag": SETTINGS.tag}]}
START = {
    "projectName": "project",
    "sourceTypeOverride": "S3",
    "sourceLocationOverride": "assets/context.zip",
    "environmentVariablesOverride": [
        {"name": "TAG", "value": SETTINGS.tag, "type": "PLAINTEXT"},
        {"name": "REQUEST", "value": "request", "type": "PLAINTEXT"},
    ],
    "idempotencyToken": "request-0",
}
BUILD = "project:1a2b"
DIGEST = "sha256:" + "0123456789abcdef" * 4
Call = Callable[..., dict[str, Any]]


@pytest.fixture(scope="module")
def function() -> Iterator[ModuleType]:
    with imported("image_build.handler") as module:
        yield module


@pytest.fixture
def aws(function: ModuleType) -> Iterator[SimpleNamespace]:
    """Stubs `codebuild`, `ecr`, `logs`. Each queued response has to be requested."""
    stubs = {name: Stubber(getattr(function.builder, name)) for name in ("codebuild", "ecr", "logs")}
    for stub in stubs.values():
        stub.activate()
    yield SimpleNamespace(**stubs)
    for stub in stubs.values():
        stub.assert_no_pending_responses()
        stub.deactivate()


@pytest.fixture
def call(function: ModuleType, context: SimpleNamespace) -> Call:
    """Call the handler with an event of a request type, and with values that its first response had."""

    def call(request_type: str, **first_response: float) -> dict[str, Any]:
        event = {
            **first_response,
            "RequestType": request_type,
            "RequestId": "request",
            "ResourceProperties": {"ServiceToken": "arn:aws:lambda:…", **SETTINGS.to_properties()},
            **({} if request_type == "Create" else {"PhysicalResourceId": "project"}),
        }
        response: dict[str, Any] = function.handler(event, context)
        return response

    return call


def add_image(aws: SimpleNamespace) -> None:
    aws.ecr.add_response("describe_images", {"imageDetails": [{"imageDigest": DIGEST}]}, IMAGE)


def add_no_image(aws: SimpleNamespace) -> None:
    aws.ecr.add_client_error("describe_images", "ImageNotFoundException", expected_params=IMAGE)


def add_builds(aws: SimpleNamespace, *builds: dict[str, Any]) -> None:
    """Queue the project's builds, the newest first."""
    ids = [build["id"] for build in builds]
    listed = {"ids": ids} if ids else {}
    aws.codebuild.add_response("list_builds_for_project", listed, {"projectName": "project", "sortOrder": "DESCENDING"})
    if builds:
        aws.codebuild.add_response("batch_get_builds", {"builds": list(builds)}, {"ids": ids})


def build(status: str, request: str = "request", **state: Any) -> dict[str, Any]:
    environment = {
        "type": "LINUX_CONTAINER",
        "image": "image",
        "computeType": "BUILD_GENERAL1_MEDIUM",
        "environmentVariables": [{"name": "REQUEST", "value": request, "type": "PLAINTEXT"}],
    }
    return {"id": BUILD, "buildStatus": status, "environment": environment, **state}


def add_build(aws: SimpleNamespace, status: str, **state: Any) -> None:
    add_no_image(aws)
    add_builds(aws, build(status, **state))


WAITING = {"PhysicalResourceId": "project", "IsComplete": False, "Requested": ANY}
BUILT = {"PhysicalResourceId": "project", "IsComplete": True, "Requested": ANY, "Data": {"Digest": DIGEST}}


@pytest.mark.parametrize("request_type", ["Create", "Update"])
def test_new_image_is_built_and_its_digest_returned(aws: SimpleNamespace, call: Call, request_type: str) -> None:
    """The physical id remains the same on update, so that CloudFormation deletes nothing."""
    add_no_image(aws)
    add_builds(aws, build("FAILED", request="an earlier deployment"))
    aws.codebuild.add_response("start_build", {"build": {"id": BUILD}}, START)
    assert call(request_type) == WAITING

    add_build(aws, "IN_PROGRESS")
    assert call(request_type) == WAITING
    add_build(aws, "SUCCEEDED")
    add_image(aws)
    assert call(request_type) == BUILT


@pytest.mark.parametrize("request_type", ["Create", "Update"])
def test_existing_image_is_not_built(aws: SimpleNamespace, call: Call, request_type: str) -> None:
    """An update with the same content, or a rollback: CodeBuild gets no request."""
    add_image(aws)
    assert call(request_type) == BUILT


def test_build_starts_when_the_queue_has_room(aws: SimpleNamespace, call: Call) -> None:
    """A new account may have room for one build, also of other projects."""
    for _ in range(2):
        add_no_image(aws)
        add_builds(aws)
        aws.codebuild.add_client_error("start_build", "AccountLimitExceededException", "Cannot have more than 1 builds")
        assert call("Create") == WAITING
    add_no_image(aws)
    add_builds(aws)
    aws.codebuild.add_response("start_build", {"build": {"id": BUILD}}, START)
    assert call("Create") == WAITING
    add_build(aws, "IN_PROGRESS")
    assert call("Create") == WAITING


def test_full_queue_is_an_error_in_the_end(aws: SimpleNamespace, call: Call) -> None:
    """An account with no build at all would wait until CloudFormation gives up, without a reason."""

    def refuse() -> None:
        add_no_image(aws)
        add_builds(aws)
        aws.codebuild.add_client_error("start_build", "AccountLimitExceededException", "Cannot have more than 0 builds")

    refuse()
    requested = call("Create")["Requested"]
    refuse()
    assert call("Create", Requested=requested - 2300) == {**WAITING, "Requested": requested - 2300}
    refuse()
    with pytest.raises(Exception, match=r"no build for 40 minutes.*Cannot have more than 0 builds.*Service Quotas"):
        call("Create", Requested=requested - 2500)


def test_build_is_repeated_when_its_source_is_denied(aws: SimpleNamespace, call: Call) -> None:
    """IAM takes seconds to apply the policy with the name of the new source."""
    denied = {"phases": [{"phaseType": "DOWNLOAD_SOURCE", "phaseStatus": "FAILED"}, {"phaseType": "COMPLETED"}]}
    for number in range(1, 4):
        add_no_image(aws)
        add_builds(aws, *[build("FAILED", **denied)] * number)
        again = START | {"idempotencyToken": f"request-{number}"}
        aws.codebuild.add_response("start_build", {"build": {"id": BUILD}}, again)
        assert call("Update") == WAITING
    add_no_image(aws)
    add_builds(aws, *[build("FAILED", **denied)] * 4)
    with pytest.raises(Exception, match="FAILED in DOWNLOAD_SOURCE"):
        call("Update")


def test_failed_start_of_a_build_is_an_error(aws: SimpleNamespace, call: Call) -> None:
    add_no_image(aws)
    add_builds(aws)
    aws.codebuild.add_client_error("start_build", "InvalidInputException", "no such source")
    with pytest.raises(Exception, match="no such source"):
        call("Create")


@pytest.mark.parametrize("status", ["FAILED", "FAULT", "STOPPED", "TIMED_OUT"])
def test_failed_build_reports_phase_and_end_of_log(aws: SimpleNamespace, call: Call, status: str) -> None:
    link = "https://console.aws.amazon.com/cloudwatch/home#logsV2:1"
    phases = [
        {"phaseType": "PROVISIONING", "phaseStatus": "SUCCEEDED"},
        {
            "phaseType": "BUILD",
            "phaseStatus": status,
            "contexts": [{"message": "Error while executing command: docker build"}],
        },
        {"phaseType": "COMPLETED"},
    ]
    add_build(aws, status, logs={"groupName": "builds", "streamName": "stream", "deepLink": link}, phases=phases)
    aws.logs.add_response(
        "get_log_events",
        {"events": [{"message": "ERROR: no wheel for hnswlib\n"}, {"message": "exit status 1\n"}]},
        {"logGroupName": "builds", "logStreamName": "stream", "limit": 15, "startFromHead": False},
    )
    with pytest.raises(Exception, match="ERROR: no wheel for hnswlib\nexit status 1") as error:
        call("Create")
    assert type(error.value).__name__ == "ImageNotBuilt"
    assert f"CodeBuild {status} in BUILD (Error while executing command: docker build)" in str(error.value)
    assert link in str(error.value)


def test_error_fits_into_cloudformations_response(aws: SimpleNamespace, call: Call) -> None:
    phases = [{"phaseType": "BUILD", "phaseStatus": "FAILED", "contexts": [{"message": "m" * 5000}]}]
    log = {"groupName": "builds", "streamName": "stream", "deepLink": "https://link"}
    add_build(aws, "FAILED", logs=log, phases=phases)
    aws.logs.add_response("get_log_events", {"events": [{"message": "x" * 900}] * 14 + [{"message": "the end"}]})
    with pytest.raises(Exception, match=r"the end$") as error:
        call("Create")
    assert len(str(error.value)) < 2000


def test_build_without_start_has_no_log(aws: SimpleNamespace, call: Call) -> None:
    add_build(aws, "FAULT", currentPhase="QUEUED")
    with pytest.raises(Exception, match=r"(?s)FAULT in QUEUED \(no reason given\).*\(no log\)"):
        call("Create")


def test_missing_log_does_not_hide_the_failure(aws: SimpleNamespace, call: Call) -> None:
    add_build(aws, "FAILED", logs={"groupName": "builds", "streamName": "stream"}, currentPhase="BUILD")
    aws.logs.add_client_error("get_log_events", "ResourceNotFoundException")
    with pytest.raises(Exception, match=r"FAILED in BUILD.*\n\(no log\)"):
        call("Create")


def test_image_deleted_after_its_build_is_an_error(aws: SimpleNamespace, call: Call) -> None:
    add_build(aws, "SUCCEEDED")
    add_no_image(aws)
    with pytest.raises(Exception, match=r"has no image studio-.*Deploy again"):
        call("Create")


def test_delete_stops_running_builds_and_keeps_images(aws: SimpleNamespace, call: Call) -> None:
    add_builds(aws, build("IN_PROGRESS"), {**build("FAILED"), "id": "project:1"})
    aws.codebuild.add_response("stop_build", {}, {"id": BUILD})
    assert call("Delete") == {"PhysicalResourceId": "project", "IsComplete": True, "Requested": ANY}


def test_delete_succeeds_without_project_or_builds(aws: SimpleNamespace, call: Call) -> None:
    aws.codebuild.add_client_error("list_builds_for_project", "ResourceNotFoundException")
    assert call("Delete")["IsComplete"]
    aws.codebuild.add_response("list_builds_for_project", {})
    assert call("Delete")["IsComplete"]


def test_missing_repository_is_an_error(aws: SimpleNamespace, call: Call) -> None:
    """Only ImageNotFoundException means that the image does not exist."""
    aws.ecr.add_client_error("describe_images", "RepositoryNotFoundException", "no such repository")
    with pytest.raises(Exception, match="no such repository"):
        call("Create")
