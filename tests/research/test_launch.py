"""The launcher: its request, its uploads on moto, and pipelines against SageMaker's API model."""

import json
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import boto3
import pytest
from botocore.stub import Stubber
from moto import mock_aws

from research import follow, launch
from research.processing_job import Environment, NotConfigured
from research.script import content
from tests.research.job_environment import ACCOUNT, BUCKET, ENVIRONMENT, VARIABLES, job, validate

EXECUTION = f"arn:aws:sagemaker:us-east-1:{ACCOUNT}:pipeline/coatcheck-qc/execution/abcdefghijkl"


@pytest.fixture(autouse=True)
def _settings(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("AWS_PROFILE", "AWS_CA_BUNDLE", "AWS_ENDPOINT_URL"):
        monkeypatch.delenv(name, raising=False)
    for name in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY"):
        monkeypatch.setenv(name, "testing")
    monkeypatch.setenv("AWS_DEFAULT_REGION", "us-east-1")
    monkeypatch.setattr(follow, "POLL_SECONDS", 0)


@pytest.fixture
def aws() -> Iterator[Any]:
    """A boto3 session on moto, with the data bucket."""
    with mock_aws():
        session = boto3.Session()
        session.client("s3").create_bucket(Bucket=BUCKET)
        yield session


@pytest.fixture
def studio(monkeypatch: pytest.MonkeyPatch) -> None:
    """The environment of a Studio app."""
    for name, value in VARIABLES.items():
        monkeypatch.setenv(name, value)


@pytest.fixture(scope="module")
def clients() -> launch.Clients:
    return launch.Clients.of(boto3.Session("testing", "testing", region_name="us-east-1"))


@pytest.fixture
def sagemaker(clients: launch.Clients) -> Iterator[Stubber]:
    """A stub. Each queued response has to be requested."""
    with Stubber(clients.sagemaker) as stub:
        yield stub
        stub.assert_no_pending_responses()


@pytest.mark.parametrize(
    ("data", "uri"), [("cells.h5", f"s3://{BUCKET}/shared/jobs/coatcheck-qc-1/data"), ("s3://b/cells.h5",) * 2]
)
def test_request_names_a_prefix_for_each_job(data: str, uri: str) -> None:
    body = launch.request(ENVIRONMENT, name="coatcheck-qc-1", script=launch.SCRIPT, data=data, arguments=[])
    base = f"s3://{BUCKET}/shared/jobs/coatcheck-qc-1"
    assert [entry["S3Input"]["S3Uri"] for entry in body["ProcessingInputs"]] == [uri, f"{base}/code/qc_metrics.pyz"]
    (output,) = body["ProcessingOutputConfig"]["Outputs"]
    assert output["S3Output"]["S3Uri"] == f"{base}/output"
    assert validate(body) == ""


@pytest.mark.parametrize(
    ("arguments", "error"),
    [
        (["--n", "1"] * 51, "102 arguments: SageMaker allows at most 100"),
        (["--sample", "é" * 257], "must have 1 to 256 characters"),
        (["--sample", ""], "must have 1 to 256 characters"),
        (["--sample", "a\nb"], "without line ends"),
    ],
)
def test_arguments_outside_of_sagemakers_limits_are_refused(arguments: list[str], error: str) -> None:
    with pytest.raises(launch.CannotStart, match=error):
        launch.request(ENVIRONMENT, name="n", script=launch.SCRIPT, data="cells.h5", arguments=arguments)


@pytest.mark.parametrize("prefix", ["coatcheck-", "a" * 32 + "-"])
@pytest.mark.parametrize("script", ["qc_metrics.py", "my own (1).py", "é" * 50 + ".py", f"{'long-' * 20}.py"])
def test_job_name_is_valid(prefix: str, script: str) -> None:
    name = launch.job_name(prefix, Path(script))
    body = launch.request(ENVIRONMENT, name=name, script=launch.SCRIPT, data="s3://b/x", arguments=[])
    assert name.startswith(prefix)
    assert len(name) <= 63
    assert validate(body) == ""


@pytest.mark.parametrize(
    ("registry", "image", "uri"),
    [
        ("5.dkr.ecr.us-east-1.amazonaws.com", None, None),
        ("5.dkr.ecr.us-east-1.amazonaws.com", "r@sha256:1", "5.dkr.ecr.us-east-1.amazonaws.com/r@sha256:1"),
        ("5.dkr.ecr.cn-north-1.amazonaws.com.cn", "r:v", "5.dkr.ecr.cn-north-1.amazonaws.com.cn/r:v"),
        ("5.dkr.ecr.us-east-1.amazonaws.com", "6.dkr.ecr.x.amazonaws.com/r:v", "6.dkr.ecr.x.amazonaws.com/r:v"),
        ("5.dkr.ecr.us-east-1.amazonaws.com", "r-4", "5.dkr.ecr.us-east-1.amazonaws.com/r@sha256:4"),
    ],
)
def test_image_is_in_the_environments_registry(registry: str, image: str | None, uri: str | None) -> None:
    images = {"": f"{registry}/p@sha256:0", "_R_4": f"{registry}/r@sha256:4"}
    variables = {f"RESEARCH_PROCESSING_IMAGE{name}": value for name, value in images.items()}
    environment = Environment.of({**VARIABLES, **variables}, "the test")
    assert launch.image_uri(environment, image) == uri
    with pytest.raises(launch.CannotStart, match="--image julia: jobs have the images r_4"):
        launch.image_uri(environment, "julia")


def test_environment_is_read_from_the_deployments_parameter(aws: Any) -> None:
    value = json.dumps(ENVIRONMENT.variables())
    aws.client("ssm").put_parameter(Name="/coatcheck/research", Value=value, Type="String")
    assert launch.read_environment(aws, "coatcheck") == ENVIRONMENT
    with pytest.raises(NotConfigured, match="no parameter /other/research in us-east-1"):
        launch.read_environment(aws, "other")


def test_missing_environment_names_the_option(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert launch.main([str(tmp_path)]) == 2
    assert "Outside Studio, use --deployment NAME" in capsys.readouterr().err


@pytest.mark.usefixtures("studio")
def test_dry_run_prints_the_request_and_starts_nothing(
    aws: Any, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "cells.h5").write_bytes(b"cells")
    assert launch.main([str(tmp_path / "cells.h5"), "--dry-run", "--", "--percent-mito", "5"]) == 0
    body = json.loads(capsys.readouterr().out)
    assert validate(body) == ""
    assert body["AppSpecification"]["ContainerArguments"] == ["--percent-mito", "5"]
    assert body["ProcessingInputs"][0]["S3Input"]["S3Uri"].endswith(f"{body['ProcessingJobName']}/data")
    assert aws.client("s3").list_objects_v2(Bucket=BUCKET)["KeyCount"] == 0
    assert aws.client("sagemaker").list_processing_jobs()["ProcessingJobSummaries"] == []


@pytest.mark.usefixtures("studio")
def test_folder_is_uploaded_and_its_results_downloaded(
    aws: Any, tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """A job of moto is Completed at once and writes nothing: the test writes the results and the log."""
    run = tmp_path / "run"
    run.mkdir()
    (run / "matrix.mtx").write_bytes(b"matrix")
    s3, logs = aws.client("s3"), aws.client("logs")
    monkeypatch.setattr(launch, "job_name", lambda prefix, script: f"{prefix}qc-1")
    base = "shared/jobs/coatcheck-qc-1"
    s3.put_object(Bucket=BUCKET, Key=f"{base}/output/qc_metrics.csv", Body=b"")
    stream = {"logGroupName": follow.LOG_GROUP, "logStreamName": "coatcheck-qc-1/algo-1"}
    logs.create_log_group(logGroupName=follow.LOG_GROUP)
    logs.create_log_stream(**stream)
    event = {"timestamp": int(time.time() * 1000), "message": "404 of 559 cells kept"}
    logs.put_log_events(**stream, logEvents=[event])

    assert launch.main([str(run), "--results", str(tmp_path / "results")]) == 0
    for key, body in {
        f"{base}/data/run/matrix.mtx": b"matrix",
        f"{base}/code/qc_metrics.pyz": content(launch.SCRIPT),
    }.items():
        stored = s3.get_object(Bucket=BUCKET, Key=key)
        assert stored["Body"].read() == body
        assert stored["SSEKMSKeyId"] == VARIABLES["RESEARCH_KEY"]
    started = aws.client("sagemaker").describe_processing_job(ProcessingJobName="coatcheck-qc-1")
    assert started["AppSpecification"]["ContainerEntrypoint"][1].endswith("/code/qc_metrics.pyz")
    assert "404 of 559 cells kept" in capsys.readouterr().out
    assert (tmp_path / "results" / "qc_metrics.csv").exists()


@pytest.mark.usefixtures("studio")
def test_each_sample_has_a_job_of_its_own(aws: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The quota allows one job at a time: the second starts when the first has ended."""
    for key in ("shared/run/", "shared/run/d1/matrix.mtx", "shared/run/d10/matrix.mtx", "shared/run/d2.h5"):
        aws.client("s3").put_object(Bucket=BUCKET, Key=key, Body=b"x")
    clients = launch.Clients.of(aws)
    monkeypatch.setattr(launch.Clients, "of", lambda session: clients)
    create = clients.sagemaker.create_processing_job
    steps: list[str] = []

    def start(**request: Any) -> Any:
        if steps and steps[-1].startswith("start"):
            message = {"Error": {"Code": "ResourceLimitExceeded", "Message": "1 instance"}}
            raise clients.sagemaker.exceptions.ResourceLimitExceeded(message, "CreateProcessingJob")
        steps.append(f"start {request['ProcessingInputs'][0]['S3Input']['S3Uri'].rpartition('run/')[2]}")
        return create(**request)

    def finish(_: Any, name: str, results: Path, report: Any) -> int:
        steps.append(f"finish {results.name}")
        return int(results.name == "d10")

    monkeypatch.setattr(clients.sagemaker, "create_processing_job", start)
    monkeypatch.setattr(launch, "finish", finish)
    assert launch.main([f"s3://{BUCKET}/shared/run", "--each", "--results", str(tmp_path)]) == 1
    assert steps == ["start d1/", "finish d1", "start d10/", "finish d10", "start d2.h5", "finish d2.h5"]


@pytest.mark.usefixtures("aws", "studio")
@pytest.mark.parametrize(
    ("arguments", "error"),
    [
        ([], "DATA is missing"),
        (["/nowhere/cells.h5"], "/nowhere/cells.h5: there is no such file or folder"),
        (["s3://b/cells.h5", "--pipeline", "qc", "--", "--percent-mito", "5"], "parameters instead of arguments"),
        ([f"s3://{BUCKET}/shared/none", "--each"], "there is no such folder, or nothing in it"),
        (["--follow", "coatcheck-none"], "Could not find processing job"),
    ],
)
def test_error_before_the_start_exits_with_2(
    capsys: pytest.CaptureFixture[str], arguments: list[str], error: str
) -> None:
    assert launch.main(arguments) == 2
    assert error in capsys.readouterr().err


@pytest.mark.parametrize("status", ["Failed", "Stopped"])
def test_failed_job_reports_its_reason_and_exits_with_1(
    clients: launch.Clients, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, status: str
) -> None:
    reasons = {"ExitMessage": "No data set in input.", "FailureReason": "AlgorithmError: exit code 3"}
    monkeypatch.setattr(follow, "follow_job", lambda *_, **__: job(status, **reasons))
    lines: list[str] = []
    assert launch.finish(clients, "coatcheck-qc-1", tmp_path, lines.append) == 1
    assert lines == [f"coatcheck-qc-1 {status}: No data set in input.: AlgorithmError: exit code 3"]


def test_ctrl_c_does_not_stop_the_job(
    clients: launch.Clients, sagemaker: Stubber, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The stub has no response to StopProcessingJob."""

    def interrupt(*_: Any, **__: Any) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(follow, "follow_job", interrupt)
    lines: list[str] = []
    assert launch.finish(clients, "coatcheck-qc-1", tmp_path, lines.append) == 0
    assert any("--follow coatcheck-qc-1" in line for line in lines)
    assert any("--stop coatcheck-qc-1" in line for line in lines)


def test_job_is_stopped(
    clients: launch.Clients, sagemaker: Stubber, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(launch.Clients, "of", lambda session: clients)
    sagemaker.add_response("stop_processing_job", {}, {"ProcessingJobName": "coatcheck-qc-1"})
    assert launch.main(["--stop", "coatcheck-qc-1"]) == 0
    assert capsys.readouterr().out == "Stopping coatcheck-qc-1\n"


def test_execution_is_started_and_its_job_found(clients: launch.Clients, sagemaker: Stubber) -> None:
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
    assert launch.start_execution(clients, "coatcheck-qc", parameters, token="t" * 32) == EXECUTION
    sagemaker.add_response("list_pipeline_execution_steps", {"PipelineExecutionSteps": []})
    sagemaker.add_response("describe_pipeline_execution", {"PipelineExecutionStatus": "Executing"})
    arn = f"arn:aws:sagemaker:us-east-1:{ACCOUNT}:processing-job/coatcheck-qc-abc"
    sagemaker.add_response(
        "list_pipeline_execution_steps",
        {"PipelineExecutionSteps": [{"StepName": "Run", "Metadata": {"ProcessingJob": {"Arn": arn}}}]},
        {"PipelineExecutionArn": EXECUTION},
    )
    assert launch.wait_for_job(clients, EXECUTION) == "coatcheck-qc-abc"


@pytest.mark.usefixtures("studio")
def test_object_with_neighbours_is_copied_for_its_pipeline(aws: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    """The pipeline reads the copy: by the address of a.h5, SageMaker would read a.h5ad, too."""
    for name in ("a.h5", "a.h5ad"):
        aws.client("s3").put_object(Bucket=BUCKET, Key=f"shared/{name}", Body=name.encode())
    inputs: list[str] = []

    def start(_: Any, pipeline: str, parameters: dict[str, str], **__: Any) -> str:
        inputs.append(parameters["Input"])
        raise launch.CannotStart(pipeline)

    monkeypatch.setattr(launch, "start_execution", start)
    assert launch.main([f"s3://{BUCKET}/shared/a.h5", "--pipeline", "qc"]) == 2
    prefix = inputs[0].removeprefix(f"s3://{BUCKET}/")
    (copied,) = aws.client("s3").list_objects_v2(Bucket=BUCKET, Prefix=prefix)["Contents"]
    assert copied["Key"] == f"{prefix}/a.h5"
    assert launch.main([f"s3://{BUCKET}/shared", "--pipeline", "qc"]) == 2
    assert inputs[1] == f"s3://{BUCKET}/shared/"


@pytest.mark.usefixtures("studio")
def test_execution_without_a_job_exits_with_2(
    clients: launch.Clients, sagemaker: Stubber, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """The stub also validates the length of the token."""
    monkeypatch.setattr(launch.Clients, "of", lambda session: clients)
    monkeypatch.setattr(launch, "locate", lambda s3, uri: (uri, True))
    sagemaker.add_response("start_pipeline_execution", {"PipelineExecutionArn": EXECUTION})
    sagemaker.add_response("list_pipeline_execution_steps", {"PipelineExecutionSteps": [{"StepName": "Run"}]})
    failed = {"PipelineExecutionStatus": "Failed", "FailureReason": "AccessDenied"}
    sagemaker.add_response("describe_pipeline_execution", failed)
    assert launch.main(["s3://b/x", "--pipeline", "qc", "--script", str(launch.SCRIPT)]) == 2
    assert "The execution is Failed: AccessDenied" in capsys.readouterr().err
