"""research/launch.py and step.py: what SageMaker is asked for, against its API's model and on moto."""

import json
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import boto3
import pytest
from botocore.session import get_session
from botocore.stub import Stubber
from botocore.validate import ParamValidator
from moto import mock_aws

from research import launch
from research import processing_job as step

ACCOUNT = "555555555555"
BUCKET = "coatcheck-research-555555555555-us-east-1"
IMAGE = f"{ACCOUNT}.dkr.ecr.us-east-1.amazonaws.com/coatcheck-research/pegasus@sha256:{'0' * 64}"
VARIABLES = {
    "RESEARCH_BUCKET": BUCKET,
    "RESEARCH_KEY": f"arn:aws:kms:us-east-1:{ACCOUNT}:key/1",
    "RESEARCH_JOB_PREFIX": "coatcheck-",
    "RESEARCH_PROCESSING_ROLE": f"arn:aws:iam::{ACCOUNT}:role/coatcheck-processing",
    "RESEARCH_PROCESSING_IMAGE": IMAGE,
    "RESEARCH_SUBNETS": "subnet-1,subnet-2",
    "RESEARCH_SECURITY_GROUP": "sg-1",
}
ENVIRONMENT = step.Environment.of(VARIABLES, "here")
ENTRY = ["python3", "/opt/ml/processing/input/code/qc_metrics.py"]


@pytest.fixture(autouse=True)
def _credentials(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("AWS_PROFILE", "AWS_CA_BUNDLE", "AWS_ENDPOINT_URL"):
        monkeypatch.delenv(name, raising=False)
    for name, value in {
        "ACCESS_KEY_ID": "testing",
        "SECRET_ACCESS_KEY": "testing",
        "DEFAULT_REGION": "us-east-1",
    }.items():
        monkeypatch.setenv(f"AWS_{name}", value)


@pytest.fixture
def aws() -> Iterator[Any]:
    """moto, with the data bucket; a boto3 session."""
    with mock_aws():
        session = boto3.Session()
        session.client("s3").create_bucket(Bucket=BUCKET)
        yield session


@pytest.fixture
def studio(monkeypatch: pytest.MonkeyPatch) -> None:
    """The environment of an app in Studio."""
    for name, value in VARIABLES.items():
        monkeypatch.setenv(name, value)


@pytest.fixture(autouse=True)
def _no_pauses(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(launch, "SECONDS_BETWEEN_LOOKS", 0)


def request(**options: Any) -> dict[str, Any]:
    given: dict[str, Any] = {"data": "s3://elsewhere/cells.h5", "arguments": [], **options}
    return launch.request(ENVIRONMENT, name="coatcheck-qc-1", script=launch.SCRIPT, **given)


def problems(asked: dict[str, Any]) -> str:
    """What SageMaker's API model has against a request."""
    model: Any = get_session().get_service_model("sagemaker")
    shape = model.operation_model("CreateProcessingJob").input_shape
    return str(ParamValidator().validate(asked, shape).generate_report())


# The request ---------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "options", [{}, {"arguments": ["--percent-mito", "5"], "network": True, "maximum_minutes": 5, "image": "x"}]
)
def test_the_request_is_one_that_the_api_takes(options: dict[str, Any]) -> None:
    assert problems(request(**options)) == ""


def test_the_request_is_of_the_environment_and_nothing_is_invented() -> None:
    asked = request(arguments=["--percent-mito", "5"], instance_type="ml.t3.xlarge")
    assert asked["RoleArn"] == VARIABLES["RESEARCH_PROCESSING_ROLE"]
    assert asked["AppSpecification"] == {
        "ImageUri": IMAGE,
        "ContainerEntrypoint": ENTRY,
        "ContainerArguments": ["--percent-mito", "5"],
    }
    data, code = (each["S3Input"] for each in asked["ProcessingInputs"])
    assert (data["S3Uri"], data["LocalPath"]) == ("s3://elsewhere/cells.h5", "/opt/ml/processing/input/data")
    base = f"s3://{BUCKET}/shared/jobs/coatcheck-qc-1"
    assert (code["S3Uri"], code["LocalPath"]) == (f"{base}/code/qc_metrics.py", "/opt/ml/processing/input/code")
    (output,) = asked["ProcessingOutputConfig"]["Outputs"]
    assert output["S3Output"]["S3Uri"] == f"{base}/output"
    assert asked["ProcessingResources"]["ClusterConfig"]["InstanceType"] == "ml.t3.xlarge"
    # Encrypted with the environment's key, in its network, and with no way out of the container.
    assert asked["ProcessingOutputConfig"]["KmsKeyId"] == VARIABLES["RESEARCH_KEY"]
    assert asked["ProcessingResources"]["ClusterConfig"]["VolumeKmsKeyId"] == VARIABLES["RESEARCH_KEY"]
    assert asked["NetworkConfig"] == {
        "EnableNetworkIsolation": True,
        "VpcConfig": {"SecurityGroupIds": ["sg-1"], "Subnets": ["subnet-1", "subnet-2"]},
    }


def test_without_arguments_the_api_is_sent_none() -> None:
    """An empty list is one it refuses."""
    assert "ContainerArguments" not in request()["AppSpecification"]


@pytest.mark.parametrize("prefix", ["coatcheck-", "a" * 32 + "-"])
@pytest.mark.parametrize("script", ["qc_metrics.py", "my own (1).py", "é" * 50 + ".py", f"{'long-' * 20}.py"])
def test_a_jobs_name_is_one_that_the_api_takes(prefix: str, script: str) -> None:
    name = launch.job_name(prefix, Path(script))
    assert name.startswith(prefix)
    assert problems({**request(), "ProcessingJobName": name}) == ""
    assert len(name) <= 63


@pytest.mark.parametrize(
    ("registry", "given", "image"),
    [
        ("5.dkr.ecr.us-east-1.amazonaws.com", None, None),
        ("5.dkr.ecr.us-east-1.amazonaws.com", "r@sha256:1", "5.dkr.ecr.us-east-1.amazonaws.com/r@sha256:1"),
        ("5.dkr.ecr.cn-north-1.amazonaws.com.cn", "r:v", "5.dkr.ecr.cn-north-1.amazonaws.com.cn/r:v"),
        ("5.dkr.ecr.us-east-1.amazonaws.com", "6.dkr.ecr.x.amazonaws.com/r:v", "6.dkr.ecr.x.amazonaws.com/r:v"),
    ],
)
def test_an_image_is_in_the_environments_registry_in_every_partition(
    registry: str, given: str | None, image: str | None
) -> None:
    environment = step.Environment.of({**VARIABLES, "RESEARCH_PROCESSING_IMAGE": f"{registry}/p@sha256:0"}, "here")
    assert launch.image_of(environment, given) == image


# Where jobs run ------------------------------------------------------------------------------------------------------


def test_what_is_missing_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(step.NotConfigured, match="RESEARCH_KEY, RESEARCH_SUBNETS: not in here"):
        step.Environment.of({**VARIABLES, "RESEARCH_KEY": "", "RESEARCH_SUBNETS": ""}, "here")
    with pytest.raises(step.NotConfigured, match="No image of the deployment file has processing = true"):
        step.Environment.of({k: v for k, v in VARIABLES.items() if k != "RESEARCH_PROCESSING_IMAGE"}, "here")


def test_the_environment_comes_from_the_parameter_that_is_asked_for(aws: Any) -> None:
    aws.client("ssm").put_parameter(
        Name="/coatcheck/research", Value=json.dumps(ENVIRONMENT.variables()), Type="String"
    )
    assert launch.environment_of(aws, "coatcheck") == ENVIRONMENT
    with pytest.raises(step.NotConfigured, match="no parameter /other/research in us-east-1"):
        launch.environment_of(aws, "other")


def test_outside_studio_it_says_what_to_do(aws: Any, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert launch.main([str(tmp_path)]) == 2
    assert "outside Studio, say --deployment NAME" in capsys.readouterr().err


# Launching -----------------------------------------------------------------------------------------------------------


@pytest.mark.usefixtures("studio")
def test_a_dry_run_prints_the_request_and_does_nothing(
    aws: Any, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "cells.h5").write_bytes(b"cells")
    assert launch.main([str(tmp_path / "cells.h5"), "--dry-run", "--", "--percent-mito", "5"]) == 0
    asked = json.loads(capsys.readouterr().out)
    assert problems(asked) == ""
    assert asked["AppSpecification"]["ContainerArguments"] == ["--percent-mito", "5"]
    assert asked["ProcessingInputs"][0]["S3Input"]["S3Uri"].endswith(f"{asked['ProcessingJobName']}/data")
    assert aws.client("s3").list_objects_v2(Bucket=BUCKET)["KeyCount"] == 0
    assert aws.client("sagemaker").list_processing_jobs()["ProcessingJobSummaries"] == []


@pytest.mark.usefixtures("studio")
def test_a_folder_is_uploaded_run_and_its_results_are_fetched(
    aws: Any, tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """moto's jobs are Completed at once and write nothing: the results and the log are what the test puts there."""
    run = tmp_path / "run"
    run.mkdir()
    for name in ("matrix.mtx.gz", "barcodes.tsv.gz"):
        (run / name).write_bytes(name.encode())
    s3, logs = aws.client("s3"), aws.client("logs")
    monkeypatch.setattr(launch, "job_name", lambda prefix, script: f"{prefix}{script.stem}-1".replace("_", "-"))
    base = "shared/jobs/coatcheck-qc-metrics-1"
    for name in ("qc_metrics.csv", "plots/qc.png", "../../../escape"):
        s3.put_object(Bucket=BUCKET, Key=f"{base}/output/{name}", Body=name.encode())
    s3.put_object(Bucket=BUCKET, Key=f"{base}/output-of-another/x", Body=b"")
    logs.create_log_group(logGroupName=launch.LOG_GROUP)
    logs.create_log_stream(logGroupName=launch.LOG_GROUP, logStreamName="coatcheck-qc-metrics-1/algo-1")
    logs.put_log_events(
        logGroupName=launch.LOG_GROUP,
        logStreamName="coatcheck-qc-metrics-1/algo-1",
        logEvents=[{"timestamp": int(time.time() * 1000), "message": "404 of 559 cells kept"}],
    )

    assert launch.main([str(run), "--results", str(tmp_path / "results")]) == 0
    for key, body in {
        f"{base}/data/run/matrix.mtx.gz": b"matrix.mtx.gz",
        f"{base}/data/run/barcodes.tsv.gz": b"barcodes.tsv.gz",
        f"{base}/code/qc_metrics.py": launch.SCRIPT.read_bytes(),
    }.items():
        found = s3.get_object(Bucket=BUCKET, Key=key)
        assert found["Body"].read() == body
        assert found["SSEKMSKeyId"] == VARIABLES["RESEARCH_KEY"]
    job = aws.client("sagemaker").describe_processing_job(ProcessingJobName="coatcheck-qc-metrics-1")
    assert job["AppSpecification"]["ContainerEntrypoint"] == ENTRY
    said = capsys.readouterr().out
    assert "Uploading run: 28 B of 28 B" in said
    assert "404 of 559 cells kept" in said
    fetched = sorted(str(f.relative_to(tmp_path / "results")) for f in (tmp_path / "results").rglob("*") if f.is_file())
    assert fetched == ["plots/qc.png", "qc_metrics.csv"]


@pytest.mark.usefixtures("studio")
@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        ([], "DATA is missing"),
        (["/nowhere/cells.h5"], "/nowhere/cells.h5: there is no such file or folder"),
        (["s3://b/cells.h5", "--pipeline", "qc", "--", "--percent-mito", "5"], "parameters and no arguments"),
        (["--follow", "coatcheck-none"], "Could not find processing job"),
    ],
)
def test_what_cannot_be_started_ends_with_2(
    aws: Any, capsys: pytest.CaptureFixture[str], arguments: list[str], said: str
) -> None:
    assert launch.main(arguments) == 2
    assert said in capsys.readouterr().err


# Following -----------------------------------------------------------------------------------------------------------


def described(status: str, **more: Any) -> dict[str, Any]:
    asked = request()
    return {
        **{key: asked[key] for key in ("ProcessingJobName", "ProcessingResources", "AppSpecification")},
        "ProcessingOutputConfig": asked["ProcessingOutputConfig"],
        "ProcessingJobArn": f"arn:aws:sagemaker:us-east-1:{ACCOUNT}:processing-job/coatcheck-qc-1",
        "ProcessingJobStatus": status,
        "CreationTime": 0,
        **more,
    }


@pytest.fixture
def stubbed() -> Iterator[tuple[launch.Clients, Stubber, Stubber]]:
    clients = launch.Clients.of(boto3.Session())
    with Stubber(clients.sagemaker) as sagemaker, Stubber(clients.logs) as logs:
        yield clients, sagemaker, logs
        sagemaker.assert_no_pending_responses()
        logs.assert_no_pending_responses()


STREAM = "coatcheck-qc-1/algo-1-1"
FIND = {"logGroupName": launch.LOG_GROUP, "logStreamNamePrefix": "coatcheck-qc-1/"}
READ = {"logGroupName": launch.LOG_GROUP, "logStreamName": STREAM, "startFromHead": True}


def test_the_log_is_said_as_it_comes_and_nothing_twice(stubbed: tuple[launch.Clients, Stubber, Stubber]) -> None:
    clients, sagemaker, logs = stubbed
    for status in ("InProgress", "InProgress", "Completed"):
        sagemaker.add_response("describe_processing_job", described(status), {"ProcessingJobName": "coatcheck-qc-1"})
    logs.add_client_error("describe_log_streams", "ResourceNotFoundException", expected_params=FIND)
    streams = {"logStreams": [{"logStreamName": STREAM}]}
    logs.add_response("describe_log_streams", streams, FIND)
    logs.add_response("get_log_events", {"events": [{"message": "one\n"}], "nextForwardToken": "f/1"}, READ)
    end = {**READ, "nextToken": "f/1"}
    logs.add_response("get_log_events", {"events": [], "nextForwardToken": "f/1"}, end)
    logs.add_response("describe_log_streams", streams, FIND)
    logs.add_response("get_log_events", {"events": [{"message": "two"}], "nextForwardToken": "f/2"}, end)
    logs.add_response("get_log_events", {"events": [], "nextForwardToken": "f/2"}, {**READ, "nextToken": "f/2"})
    said: list[str] = []
    job = launch.follow(clients, "coatcheck-qc-1", say=said.append)
    assert job["ProcessingJobStatus"] == "Completed"
    assert said == ["coatcheck-qc-1: InProgress", "one", "two"]


@pytest.mark.parametrize("status", ["Failed", "Stopped"])
def test_a_job_that_failed_says_why(
    stubbed: tuple[launch.Clients, Stubber, Stubber], tmp_path: Path, status: str
) -> None:
    clients, sagemaker, logs = stubbed
    reasons = {"ExitMessage": "No data set in input.", "FailureReason": "AlgorithmError: exit code 3"}
    sagemaker.add_response("describe_processing_job", described(status, **reasons))
    logs.add_response("describe_log_streams", {"logStreams": []}, FIND)
    said: list[str] = []
    assert launch._finish(clients, "coatcheck-qc-1", tmp_path, said.append) == 1
    assert said == [f"coatcheck-qc-1 {status}: No data set in input.: AlgorithmError: exit code 3"]


def test_ctrl_c_leaves_the_job_alone(stubbed: tuple[launch.Clients, Stubber, Stubber], tmp_path: Path) -> None:
    clients, sagemaker, logs = stubbed
    sagemaker.add_response("describe_processing_job", described("InProgress"))
    logs.add_response("describe_log_streams", {"logStreams": []}, FIND)
    said: list[str] = []

    def say(line: str) -> None:
        said.append(line)
        if "InProgress" in line:
            raise KeyboardInterrupt

    assert launch._finish(clients, "coatcheck-qc-1", tmp_path, say) == 0
    assert any("--follow coatcheck-qc-1" in line for line in said)


EXECUTION = f"arn:aws:sagemaker:us-east-1:{ACCOUNT}:pipeline/coatcheck-qc/execution/abcdefghijkl"


def test_a_pipeline_is_started_and_its_job_found(stubbed: tuple[launch.Clients, Stubber, Stubber]) -> None:
    clients, sagemaker, _ = stubbed
    sagemaker.add_response(
        "start_pipeline_execution",
        {"PipelineExecutionArn": EXECUTION},
        {
            "PipelineName": "coatcheck-qc",
            "ClientRequestToken": "t" * 32,
            "PipelineParameters": [{"Name": "Input", "Value": "s3://b/x"}, {"Name": "PercentMito", "Value": "5"}],
        },
    )
    parameters = {"Input": "s3://b/x", "PercentMito": "5"}
    assert launch.start_pipeline(clients, "coatcheck-qc", parameters, token="t" * 32) == EXECUTION
    sagemaker.add_response("list_pipeline_execution_steps", {"PipelineExecutionSteps": []})
    sagemaker.add_response("describe_pipeline_execution", {"PipelineExecutionStatus": "Executing"})
    arn = f"arn:aws:sagemaker:us-east-1:{ACCOUNT}:processing-job/coatcheck-qc-abc"
    sagemaker.add_response(
        "list_pipeline_execution_steps",
        {"PipelineExecutionSteps": [{"StepName": "Run", "Metadata": {"ProcessingJob": {"Arn": arn}}}]},
        {"PipelineExecutionArn": EXECUTION},
    )
    assert launch.job_of_execution(clients, EXECUTION) == "coatcheck-qc-abc"


def test_an_execution_that_ends_without_a_job_says_so(stubbed: tuple[launch.Clients, Stubber, Stubber]) -> None:
    clients, sagemaker, _ = stubbed
    sagemaker.add_response("list_pipeline_execution_steps", {"PipelineExecutionSteps": [{"StepName": "Run"}]})
    failed = {"PipelineExecutionStatus": "Failed", "FailureReason": "AccessDenied"}
    sagemaker.add_response("describe_pipeline_execution", failed)
    with pytest.raises(launch.CannotStart, match="Failed: AccessDenied"):
        launch.job_of_execution(clients, EXECUTION)


@pytest.mark.usefixtures("studio")
def test_a_pipelines_token_has_the_length_the_api_asks_for(
    stubbed: tuple[launch.Clients, Stubber, Stubber], monkeypatch: pytest.MonkeyPatch
) -> None:
    clients, sagemaker, _ = stubbed
    monkeypatch.setattr(launch.Clients, "of", lambda session: clients)
    sagemaker.add_response("start_pipeline_execution", {"PipelineExecutionArn": EXECUTION})  # checked by the model
    failed = {"PipelineExecutionStatus": "Failed", "FailureReason": "AccessDenied"}
    sagemaker.add_response("list_pipeline_execution_steps", {"PipelineExecutionSteps": []})
    sagemaker.add_response("describe_pipeline_execution", failed)
    assert launch.main(["s3://b/x", "--pipeline", "qc", "--script", str(launch.SCRIPT)]) == 2
