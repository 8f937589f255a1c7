"""The clean-up of a domain, for every state in SageMaker's API model."""

from collections.abc import Iterator
from dataclasses import replace
from typing import Any

import boto3
import pytest
from botocore.session import get_session
from botocore.stub import ANY, Stubber

from domain_clean_up.clean_up import CleanUp, DomainHoldsData
from domain_clean_up.settings import CleanUpSettings

DOMAIN = "d-abcdefghijkl"
SETTINGS = CleanUpSettings(
    domain_id=DOMAIN,
    profiles=("ada",),
    spaces=("single-cell",),
    pipelines=(),
    job_prefix="coatcheck--",
    log_groups=(),
    log_retention_days=90,
    ephemeral=True,
    retained=("s3://data",),
)
BUSY = {"Pending", "Updating", "Deleting", "Stopping"}


def states(shape: str) -> list[str]:
    return list(get_session().get_service_model("sagemaker").shape_for(shape).enum)  # type: ignore[attr-defined]


@pytest.fixture(scope="module")
def clean_up() -> CleanUp:
    session = boto3.Session("testing", "testing", region_name="us-east-1")
    return CleanUp(session.client("sagemaker", verify=False))


@pytest.fixture
def sagemaker(clean_up: CleanUp) -> Iterator[Stubber]:
    """A stub. Each queued response has to be requested."""
    with Stubber(clean_up.sagemaker) as stub:
        yield stub
        stub.assert_no_pending_responses()


def app(status: str, **owner: str) -> dict[str, Any]:
    owner = owner or {"SpaceName": "space"}
    return {"DomainId": DOMAIN, "AppType": "JupyterLab", "AppName": "default", "Status": status, **owner}


def space(name: str, status: str = "InService") -> dict[str, Any]:
    return {"DomainId": DOMAIN, "SpaceName": name, "Status": status}


def profile(name: str, status: str = "InService") -> dict[str, Any]:
    return {"DomainId": DOMAIN, "UserProfileName": name, "Status": status}


def job(name: str, **more: Any) -> dict[str, Any]:
    return {
        "ProcessingJobName": name,
        "ProcessingJobArn": f"arn:aws:sagemaker:us-east-1:555555555555:processing-job/{name}",
        "ProcessingJobStatus": "InProgress",
        "CreationTime": 0,
        **more,
    }


def add_lists(
    stub: Stubber, *, spaces: list[dict[str, Any]] | None = None, apps: list[dict[str, Any]] | None = None
) -> None:
    """Queue the responses up to the list of apps."""
    stub.add_response("list_spaces", {"Spaces": spaces or []}, {"DomainIdEquals": DOMAIN})
    add_jobs_and_apps(stub, apps)


def add_jobs_and_apps(stub: Stubber, apps: list[dict[str, Any]] | None = None) -> None:
    for status in ("InProgress", "Stopping"):
        parameters = {"StatusEquals": status, "NameContains": "coatcheck--"}
        stub.add_response("list_processing_jobs", {"ProcessingJobSummaries": []}, parameters)
    stub.add_response("list_apps", {"Apps": apps or []}, {"DomainIdEquals": DOMAIN})


def add_profiles(stub: Stubber, *profiles: dict[str, Any]) -> None:
    stub.add_response("list_user_profiles", {"UserProfiles": list(profiles)}, {"DomainIdEquals": DOMAIN})


@pytest.mark.parametrize("ephemeral", [True, False])
def test_empty_domain_can_be_deleted_at_once(clean_up: CleanUp, sagemaker: Stubber, ephemeral: bool) -> None:
    """Also of a deployment that is not ephemeral, as when a first deployment fails and is rolled back."""
    add_lists(sagemaker)
    add_profiles(sagemaker, profile("ada"))
    assert clean_up.step(replace(SETTINGS, ephemeral=ephemeral)) == []


@pytest.mark.parametrize("status", states("AppStatus"))
def test_apps_are_deleted_before_spaces_and_profiles(clean_up: CleanUp, sagemaker: Stubber, status: str) -> None:
    add_lists(sagemaker, apps=[app(status)])
    if status == "Deleted":  # SageMaker lists a deleted app for a day
        add_profiles(sagemaker)
        assert clean_up.step(SETTINGS) == []
        return
    if status not in BUSY:
        parameters = {"DomainId": DOMAIN, "SpaceName": "space", "AppType": "JupyterLab", "AppName": "default"}
        sagemaker.add_response("delete_app", {}, parameters)
    assert clean_up.step(SETTINGS) == [f"app space/JupyterLab/default {status}"]


def test_studio_classic_app_is_deleted_from_its_profile(clean_up: CleanUp, sagemaker: Stubber) -> None:
    add_lists(sagemaker, apps=[app("InService", UserProfileName="grace")])
    parameters = {"DomainId": DOMAIN, "UserProfileName": "grace", "AppType": ANY, "AppName": "default"}
    sagemaker.add_response("delete_app", {}, parameters)
    assert clean_up.step(SETTINGS)


@pytest.mark.parametrize("status", states("SpaceStatus"))
def test_spaces_outside_the_template_are_deleted(clean_up: CleanUp, sagemaker: Stubber, status: str) -> None:
    add_lists(sagemaker, spaces=[space("single-cell"), space("grace-private", status)])
    if status not in BUSY:
        sagemaker.add_response("delete_space", {}, {"DomainId": DOMAIN, "SpaceName": "grace-private"})
    assert clean_up.step(SETTINGS) == [f"space grace-private {status}"]


@pytest.mark.parametrize("status", states("UserProfileStatus"))
def test_profiles_outside_the_template_are_deleted(clean_up: CleanUp, sagemaker: Stubber, status: str) -> None:
    """Studio creates profiles for members of a group. CloudFormation deletes the template's profiles."""
    add_lists(sagemaker, spaces=[space("single-cell")])
    add_profiles(sagemaker, profile("ada"), profile("created-by-studio", status))
    if status not in BUSY:
        sagemaker.add_response("delete_user_profile", {}, {"DomainId": DOMAIN, "UserProfileName": "created-by-studio"})
    assert clean_up.step(SETTINGS) == [f"profile created-by-studio {status}"]


@pytest.mark.parametrize("status", states("PipelineExecutionStatus"))
def test_running_executions_are_stopped(clean_up: CleanUp, sagemaker: Stubber, status: str) -> None:
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
    add_jobs_and_apps(sagemaker)
    add_profiles(sagemaker)
    remaining = clean_up.step(replace(SETTINGS, pipelines=("coatcheck-qc",)))
    assert remaining == ([f"execution {arn} {status}"] if status in ("Executing", "Stopping") else [])


def test_pipeline_deleted_by_hand_has_no_executions(clean_up: CleanUp, sagemaker: Stubber) -> None:
    sagemaker.add_response("list_spaces", {"Spaces": []})
    sagemaker.add_client_error("list_pipeline_executions", "ResourceNotFound")
    add_jobs_and_apps(sagemaker)
    add_profiles(sagemaker)
    assert clean_up.step(replace(SETTINGS, pipelines=("coatcheck--qc",))) == []


def test_jobs_of_the_environment_are_stopped(clean_up: CleanUp, sagemaker: Stubber) -> None:
    """SageMaker also lists jobs whose names contain the prefix elsewhere, which the function may not describe."""
    sagemaker.add_response("list_spaces", {"Spaces": []})
    for status, names in (
        ("InProgress", ["coatcheck--qc", "lab2-coatcheck--x", "coatcheck--gone"]),
        ("Stopping", ["coatcheck--old"]),
    ):
        parameters = {"StatusEquals": status, "NameContains": "coatcheck--"}
        sagemaker.add_response(
            "list_processing_jobs", {"ProcessingJobSummaries": [job(name) for name in names]}, parameters
        )
        if status == "InProgress":
            sagemaker.add_response("stop_processing_job", {}, {"ProcessingJobName": "coatcheck--qc"})
            sagemaker.add_client_error("stop_processing_job", "ResourceNotFound")
    sagemaker.add_response("list_apps", {"Apps": []})
    add_profiles(sagemaker)
    first, gone, old = clean_up.step(SETTINGS)
    assert (first, old) == ("job coatcheck--qc InProgress", "job coatcheck--old Stopping")
    assert "ResourceNotFound" in gone


@pytest.mark.parametrize("code", ["ResourceNotFound", "ResourceInUse", "ValidationException", "ThrottlingException"])
def test_failed_deletion_is_retried_in_the_next_step(clean_up: CleanUp, sagemaker: Stubber, code: str) -> None:
    add_lists(sagemaker, apps=[app("InService")])
    sagemaker.add_client_error("delete_app", code)
    (remaining,) = clean_up.step(SETTINGS)
    assert code in remaining


def test_all_pages_are_read(clean_up: CleanUp, sagemaker: Stubber) -> None:
    sagemaker.add_response("list_spaces", {"Spaces": [space("single-cell")], "NextToken": "more"})
    parameters = {"DomainIdEquals": DOMAIN, "NextToken": "more"}
    sagemaker.add_response("list_spaces", {"Spaces": [space("second-page")]}, parameters)
    add_jobs_and_apps(sagemaker)
    sagemaker.add_response("delete_space", {}, {"DomainId": DOMAIN, "SpaceName": "second-page"})
    assert clean_up.step(SETTINGS)


def sized(name: str, size: int, owner: str, sharing: str) -> dict[str, Any]:
    return {
        **space(name),
        "SpaceSettingsSummary": {"SpaceStorageSettings": {"EbsStorageSettings": {"EbsVolumeSizeInGb": size}}},
        "SpaceSharingSettingsSummary": {"SharingType": sharing},
        "OwnershipSettingsSummary": {"OwnerUserProfileName": owner},
    }


def test_spaces_are_kept_unless_ephemeral(clean_up: CleanUp, sagemaker: Stubber) -> None:
    """Nothing is deleted, and the stack's deletion fails with an instruction."""
    spaces = [space("grace-private"), sized("ada-private", 50, "ada", "Private")]
    sagemaker.add_response("list_spaces", {"Spaces": spaces})
    described = r"ada-private \(50 GB, owner ada\), grace-private \(size unknown, owner unknown\)"
    with pytest.raises(DomainHoldsData, match=rf"{described}\. Ask .*ephemeral = true"):
        clean_up.step(replace(SETTINGS, ephemeral=False))


def test_shared_spaces_outside_the_template_are_described(clean_up: CleanUp, sagemaker: Stubber) -> None:
    spaces = [
        sized("single-cell", 20, "ada", "Shared"),
        sized("atlas", 100, "grace", "Shared"),
        sized("mine", 5, "ada", "Private"),
    ]
    sagemaker.add_response("list_spaces", {"Spaces": spaces}, {"DomainIdEquals": DOMAIN})
    assert clean_up.kept_spaces(SETTINGS) == "atlas (100 GB, owner grace)"
    many = [sized(f"space-{number}", 5, "ada", "Shared") for number in range(200)]
    sagemaker.add_response("list_spaces", {"Spaces": many}, {"DomainIdEquals": DOMAIN})
    text = clean_up.kept_spaces(SETTINGS)
    assert len(text) <= 1000
    assert text.endswith("… of 200")
