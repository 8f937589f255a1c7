"""The clean-up function, against SageMaker's real API model: every state that the API can report, and the guard."""

import importlib
import sys
from collections.abc import Iterator
from types import ModuleType, SimpleNamespace
from typing import Any

import pytest
from botocore.session import get_session
from botocore.stub import ANY, Stubber

DOMAIN = "d-abcdefghijkl"
ROLE = "arn:aws:iam::555555555555:role/coatcheck-processing"
PROPERTIES: dict[str, Any] = {
    "DomainId": DOMAIN,
    "Profiles": ["ada"],
    "Spaces": ["single-cell"],
    "Pipelines": [],
    "JobPrefix": "coatcheck-",
    "JobRole": ROLE,
    "Ephemeral": "true",
    "Kept": ["s3://data"],
}
CONTEXT = SimpleNamespace(
    function_name="function",
    function_version="$LATEST",
    memory_limit_in_mb=1024,
    invoked_function_arn="arn:aws:lambda:us-east-1:555555555555:function:function",
    aws_request_id="request",
)
BUSY = {"Pending", "Updating", "Deleting", "Stopping"}


def states(shape: str) -> list[str]:
    return list(get_session().get_service_model("sagemaker").shape_for(shape).enum)  # type: ignore[attr-defined]


def delete(**properties: Any) -> dict[str, Any]:
    return {
        "RequestType": "Delete",
        "RequestId": "request",
        "ResourceType": "Custom::DomainCleanUp",
        "PhysicalResourceId": DOMAIN,
        "ResourceProperties": {**PROPERTIES, **properties},
    }


@pytest.fixture
def function(monkeypatch: pytest.MonkeyPatch) -> Iterator[ModuleType]:
    for name, value in {
        "AWS_ACCESS_KEY_ID": "testing",
        "AWS_SECRET_ACCESS_KEY": "testing",
        "AWS_DEFAULT_REGION": "us-east-1",
        "POWERTOOLS_SERVICE_NAME": "domain_clean_up",
    }.items():
        monkeypatch.setenv(name, value)
    monkeypatch.delenv("AWS_CA_BUNDLE", raising=False)
    sys.modules.pop("domain_clean_up.handler", None)
    yield importlib.import_module("domain_clean_up.handler")
    sys.modules.pop("domain_clean_up.handler", None)


@pytest.fixture
def sagemaker(function: ModuleType) -> Iterator[Stubber]:
    with Stubber(function.clean_up.sagemaker) as stub:
        yield stub
        stub.assert_no_pending_responses()


def app(status: str, *, space: str | None = "space", kind: str = "JupyterLab") -> dict[str, Any]:
    owner = {"SpaceName": space} if space else {"UserProfileName": "grace"}
    return {"DomainId": DOMAIN, "AppType": kind, "AppName": "default", "Status": status, **owner}


def space(name: str, status: str = "InService") -> dict[str, Any]:
    return {"DomainId": DOMAIN, "SpaceName": name, "Status": status}


def profile(name: str, status: str = "InService") -> dict[str, Any]:
    return {"DomainId": DOMAIN, "UserProfileName": name, "Status": status}


def queue(
    stub: Stubber,
    *,
    spaces: list[dict[str, Any]] | None = None,
    jobs: dict[str, list[str]] | None = None,
    apps: list[dict[str, Any]] | None = None,
) -> None:
    """What SageMaker answers until apps are listed; what is deleted comes in between, so tests add that themselves."""
    stub.add_response("list_spaces", {"Spaces": spaces or []}, {"DomainIdEquals": DOMAIN})
    for status in ("InProgress", "Stopping"):
        names = (jobs or {}).get(status, [])
        stub.add_response(
            "list_processing_jobs",
            {
                "ProcessingJobSummaries": [
                    {
                        "ProcessingJobName": name,
                        "ProcessingJobArn": f"arn:aws:sagemaker:us-east-1:555555555555:processing-job/{name}",
                        "CreationTime": 0,
                        "ProcessingJobStatus": status,
                    }
                    for name in names
                ]
            },
            {"StatusEquals": status, "NameContains": "coatcheck-"},
        )
    stub.add_response("list_apps", {"Apps": apps or []}, {"DomainIdEquals": DOMAIN})


def run(function: ModuleType, event: dict[str, Any]) -> bool:
    answer = function.handler(event, CONTEXT)
    assert answer["PhysicalResourceId"] == DOMAIN
    return bool(answer["IsComplete"])


@pytest.mark.parametrize("kind", ["Create", "Update"])
def test_nothing_is_done_before_the_stack_goes(function: ModuleType, sagemaker: Stubber, kind: str) -> None:
    assert run(function, {**delete(), "RequestType": kind})


def test_an_empty_domain_is_done_at_once(function: ModuleType, sagemaker: Stubber) -> None:
    queue(sagemaker)
    sagemaker.add_response("list_user_profiles", {"UserProfiles": [profile("ada")]}, {"DomainIdEquals": DOMAIN})
    assert run(function, delete())


@pytest.mark.parametrize("status", states("AppStatus"))
def test_apps_in_every_state(function: ModuleType, sagemaker: Stubber, status: str) -> None:
    queue(sagemaker, apps=[app(status)])
    if status == "Deleted":  # SageMaker lists it for a day
        sagemaker.add_response("list_user_profiles", {"UserProfiles": []})
        assert run(function, delete())
        return
    if status not in BUSY:
        sagemaker.add_response(
            "delete_app",
            {},
            {"DomainId": DOMAIN, "SpaceName": "space", "AppType": "JupyterLab", "AppName": "default"},
        )
    # Spaces and profiles are not touched while an app is there.
    assert not run(function, delete())


def test_an_app_of_studio_classic_belongs_to_a_profile(function: ModuleType, sagemaker: Stubber) -> None:
    queue(sagemaker, apps=[app("InService", space=None, kind="KernelGateway")])
    sagemaker.add_response(
        "delete_app",
        {},
        {"DomainId": DOMAIN, "UserProfileName": "grace", "AppType": "KernelGateway", "AppName": "default"},
    )
    assert not run(function, delete())


@pytest.mark.parametrize("status", states("SpaceStatus"))
def test_spaces_in_every_state(function: ModuleType, sagemaker: Stubber, status: str) -> None:
    queue(sagemaker, spaces=[space("single-cell"), space("grace-private", status)])
    if status not in BUSY:
        sagemaker.add_response("delete_space", {}, {"DomainId": DOMAIN, "SpaceName": "grace-private"})
    assert not run(function, delete())


@pytest.mark.parametrize("status", states("UserProfileStatus"))
def test_profiles_in_every_state(function: ModuleType, sagemaker: Stubber, status: str) -> None:
    """Those that Studio made for members of a group; the template's own are CloudFormation's to delete."""
    queue(sagemaker, spaces=[space("single-cell")])
    sagemaker.add_response("list_user_profiles", {"UserProfiles": [profile("ada"), profile("made-by-studio", status)]})
    if status not in BUSY:
        sagemaker.add_response("delete_user_profile", {}, {"DomainId": DOMAIN, "UserProfileName": "made-by-studio"})
    assert not run(function, delete())


@pytest.mark.parametrize("status", states("PipelineExecutionStatus"))
def test_executions_in_every_state(function: ModuleType, sagemaker: Stubber, status: str) -> None:
    """SageMaker deletes no pipeline that runs."""
    arn = "arn:aws:sagemaker:us-east-1:555555555555:pipeline/coatcheck-qc/execution/abcdefghijkl"
    sagemaker.add_response("list_spaces", {"Spaces": []})
    sagemaker.add_response(
        "list_pipeline_executions",
        {"PipelineExecutionSummaries": [{"PipelineExecutionArn": arn, "PipelineExecutionStatus": status}]},
        {"PipelineName": "coatcheck-qc", "SortOrder": "Descending"},
    )
    if status == "Executing":
        sagemaker.add_response(
            "stop_pipeline_execution",
            {"PipelineExecutionArn": arn},
            {"PipelineExecutionArn": arn, "ClientRequestToken": "00000000000000000000abcdefghijkl"},
        )
    for _ in range(2):
        sagemaker.add_response("list_processing_jobs", {"ProcessingJobSummaries": []})
    sagemaker.add_response("list_apps", {"Apps": []})
    sagemaker.add_response("list_user_profiles", {"UserProfiles": []})
    assert run(function, delete(Pipelines=["coatcheck-qc"])) is (status not in ("Executing", "Stopping"))


def test_jobs_of_the_environment_are_stopped_and_waited_for(function: ModuleType, sagemaker: Stubber) -> None:
    sagemaker.add_response("list_spaces", {"Spaces": []})
    for status, names in (("InProgress", ["coatcheck-qc", "other-coatcheck-job"]), ("Stopping", ["coatcheck-old"])):
        sagemaker.add_response(
            "list_processing_jobs",
            {
                "ProcessingJobSummaries": [
                    {
                        "ProcessingJobName": name,
                        "ProcessingJobArn": f"arn:aws:sagemaker:us-east-1:555555555555:processing-job/{name}",
                        "CreationTime": 0,
                        "ProcessingJobStatus": status,
                    }
                    for name in names
                ]
            },
            {"StatusEquals": status, "NameContains": "coatcheck-"},
        )
        for name in names:
            sagemaker.add_response(
                "describe_processing_job", described(name, ROLE if name != "other-coatcheck-job" else ROLE + "-other")
            )
            if name == "coatcheck-qc":
                sagemaker.add_response("stop_processing_job", {}, {"ProcessingJobName": name})
    sagemaker.add_response("list_apps", {"Apps": []})
    sagemaker.add_response("list_user_profiles", {"UserProfiles": []})
    assert not run(function, delete())


def described(name: str, role: str) -> dict[str, Any]:
    return {
        "ProcessingJobName": name,
        "ProcessingJobArn": f"arn:aws:sagemaker:us-east-1:555555555555:processing-job/{name}",
        "ProcessingJobStatus": "InProgress",
        "CreationTime": 0,
        "RoleArn": role,
        "AppSpecification": {"ImageUri": "image"},
        "ProcessingResources": {
            "ClusterConfig": {"InstanceCount": 1, "InstanceType": "ml.t3.medium", "VolumeSizeInGB": 5}
        },
    }


@pytest.mark.parametrize("code", ["ResourceNotFound", "ResourceInUse", "ValidationException", "ThrottlingException"])
def test_what_cannot_be_deleted_now_is_tried_again(function: ModuleType, sagemaker: Stubber, code: str) -> None:
    """Gone meanwhile, or in use for a moment more: the framework asks again, and the next step sees which."""
    queue(sagemaker, apps=[app("InService")])
    sagemaker.add_client_error("delete_app", code, expected_params=ANY_APP)
    assert not run(function, delete())


ANY_APP = {"DomainId": DOMAIN, "SpaceName": ANY, "AppType": ANY, "AppName": ANY}


def test_every_page_is_read(function: ModuleType, sagemaker: Stubber) -> None:
    sagemaker.add_response("list_spaces", {"Spaces": [space("single-cell")], "NextToken": "more"})
    sagemaker.add_response(
        "list_spaces", {"Spaces": [space("second-page")]}, {"DomainIdEquals": DOMAIN, "NextToken": "more"}
    )
    for _ in range(2):
        sagemaker.add_response("list_processing_jobs", {"ProcessingJobSummaries": []})
    sagemaker.add_response("list_apps", {"Apps": []})
    sagemaker.add_response("delete_space", {}, {"DomainId": DOMAIN, "SpaceName": "second-page"})
    assert not run(function, delete())


def test_spaces_of_a_deployment_that_is_not_ephemeral_are_kept(function: ModuleType, sagemaker: Stubber) -> None:
    """Their volumes would go with them. Nothing is deleted, and the stack's deletion fails with what to do."""
    sagemaker.add_response("list_spaces", {"Spaces": [space("grace-private"), space("ada-private")]})
    with pytest.raises(Exception, match=r"ada-private, grace-private.*ephemeral = true") as refused:
        run(function, delete(Ephemeral="false"))
    assert type(refused.value).__name__ == "DomainHoldsData"


def test_without_spaces_it_need_not_be_ephemeral(function: ModuleType, sagemaker: Stubber) -> None:
    """As when a first deployment fails and is rolled back."""
    queue(sagemaker)
    sagemaker.add_response("list_user_profiles", {"UserProfiles": []})
    assert run(function, delete(Ephemeral="false"))


GUARDED = {
    "AuthMode": "sso",
    "DomainName": "coatcheck-research",
    "KmsKeyId": "key-1",
    "IdentityCenter": "arn:aws:sso:::instance/ssoins-1234567890abcdef",
}


def guard(function: ModuleType, kind: str, physical: str | None = None, **changes: str) -> str:
    event = {
        "RequestType": kind,
        "ResourceType": "Custom::DomainGuard",
        "ResourceProperties": GUARDED | changes,
        **({"PhysicalResourceId": physical} if physical else {}),
    }
    answer = function.handler(event, CONTEXT)
    assert answer["IsComplete"] is True
    return str(answer["PhysicalResourceId"])


@pytest.mark.parametrize(
    ("name", "key"),
    [
        ("AuthMode", "research.auth"),
        ("DomainName", "name"),
        ("KmsKeyId", "the key"),
        ("IdentityCenter", "research.identity_center.instance_arn"),
    ],
)
def test_what_would_replace_the_domain_is_refused(function: ModuleType, name: str, key: str) -> None:
    made_with = guard(function, "Create")
    with pytest.raises(Exception, match=rf"Changing {key} from '{GUARDED[name]}' to 'other' would replace"):
        guard(function, "Update", made_with, **{name: "other"})


def test_the_rollback_of_a_refused_update_passes(function: ModuleType) -> None:
    made_with = guard(function, "Create")
    with pytest.raises(Exception, match="would replace"):
        guard(function, "Update", made_with, AuthMode="iam")
    assert guard(function, "Update", made_with) == made_with
    assert guard(function, "Delete", made_with) == made_with
