"""Start a script as a processing job, follow it, fetch what it made. Plain boto3.

    python -m research.launch DATA [options] [-- arguments of the script]

DATA is a file or a folder, which is uploaded, or an s3:// address. In Studio, where jobs run is known from the app's
environment (RESEARCH_BUCKET and so on); elsewhere, `--deployment NAME` reads it from the stack's SSM parameter.

Ctrl-C leaves the job alone; `--follow NAME` takes it up again. Exit status: 0, 1 for a job that failed or was stopped,
2 for what could not be started.
"""

from __future__ import annotations

import argparse
import json
import os
import re
import secrets
import sys
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import boto3
from botocore.exceptions import BotoCoreError, ClientError

from research import processing_job as step

SCRIPT = Path(__file__).parent / "jobs" / "qc_metrics.py"
JOBS = "shared/jobs/"
"""Prefix, in the data bucket, of what a launched job has: `<job>/data/`, `<job>/code/`, `<job>/output/`."""
LOG_GROUP = "/aws/sagemaker/ProcessingJobs"
ENDED = ("Completed", "Failed", "Stopped")
SECONDS_BETWEEN_LOOKS = 5.0


class CannotStart(Exception):
    """The job was not started. The message says why."""


@dataclass(frozen=True)
class Clients:
    """boto3's clients of the research account and Region."""

    s3: Any
    sagemaker: Any
    logs: Any

    @classmethod
    def of(cls, session: Any) -> Clients:
        return cls(*(session.client(service) for service in ("s3", "sagemaker", "logs")))


# Starting -----------------------------------------------------------------------------------------------------------


def job_name(prefix: str, script: Path) -> str:
    """`<prefix><script>-<time>-<chance>`, as SageMaker takes it: 63 letters, digits and hyphens."""
    stem = re.sub(r"[^A-Za-z0-9]+", "-", script.stem).strip("-")
    unique = f"{datetime.now(UTC):%Y%m%d-%H%M%S}-{secrets.token_hex(2)}"
    return f"{prefix}{stem[: 62 - len(prefix) - len(unique)].strip('-')}-{unique}"


def request(
    environment: step.Environment, *, name: str, script: Path, data: str, arguments: Sequence[str], **options: Any
) -> dict[str, Any]:
    """What `launch` asks SageMaker for. data: a path, or an s3:// address. options: of `step.processing_job`."""
    base = f"s3://{environment.bucket}/{JOBS}{name}"
    return step.processing_job(
        environment,
        name=name,
        script=script.name,
        code=f"{base}/code/{script.name}",
        data=data if is_s3(data) else f"{base}/data",
        output=f"{base}/output",
        arguments=arguments,
        **options,
    )


def launch(clients: Clients, request: dict[str, Any], *, script: Path, data: str, say: Callable[[str], None]) -> None:
    """Upload what is here, then start the job."""
    to_data, to_code = (each["S3Input"]["S3Uri"] for each in request["ProcessingInputs"])
    key = request["ProcessingOutputConfig"]["KmsKeyId"]
    if not is_s3(data):
        upload(clients.s3, Path(data), to_data, key=key, say=say)
    upload(clients.s3, script, to_code.rpartition("/")[0], key=key, say=say)
    clients.sagemaker.create_processing_job(**request)
    say(f"Started {request['ProcessingJobName']} on {_cluster(request)['InstanceType']}")


def upload(s3: Any, source: Path, target: str, *, key: str, say: Callable[[str], None]) -> None:
    """A file, or all files below a folder, to the prefix `target`, encrypted with `key`; says how far it is."""
    files = [source] if source.is_file() else sorted(each for each in source.rglob("*") if each.is_file())
    bucket, prefix = split(target)
    progress = _Progress(sum(file.stat().st_size for file in files), f"Uploading {source.name}", say)
    encryption = {"ServerSideEncryption": "aws:kms", "SSEKMSKeyId": key}
    for file in files:
        name = file.name if source.is_file() else f"{source.name}/{file.relative_to(source).as_posix()}"
        s3.upload_file(str(file), bucket, f"{prefix}/{name}", ExtraArgs=encryption, Callback=progress)


class _Progress:
    """Called by boto3, from its threads, with the number of bytes that went out since the last time."""

    def __init__(self, total: int, what: str, say: Callable[[str], None]) -> None:
        self._total, self._what, self._say = total, what, say
        self._done = self._tenth = 0
        self._lock = threading.Lock()

    def __call__(self, count: int) -> None:
        with self._lock:
            self._done += count
            tenth = 10 * self._done // max(self._total, 1)
            if tenth > self._tenth:
                self._tenth = tenth
                self._say(f"{self._what}: {_size(self._done)} of {_size(self._total)}")


def start_pipeline(clients: Clients, name: str, parameters: dict[str, str], *, token: str) -> str:
    """Start a pipeline of the environment; answers the execution's ARN. The same token starts nothing twice."""
    answer = clients.sagemaker.start_pipeline_execution(
        PipelineName=name,
        ClientRequestToken=token,
        PipelineParameters=[{"Name": key, "Value": value} for key, value in parameters.items()],
    )
    return str(answer["PipelineExecutionArn"])


def job_of_execution(clients: Clients, execution: str, *, wait: Callable[[float], None] = time.sleep) -> str:
    """The name of the processing job that a pipeline's execution runs, as soon as there is one.

    Raises:
        CannotStart: the execution ended without.
    """
    while True:
        steps = clients.sagemaker.list_pipeline_execution_steps(PipelineExecutionArn=execution)
        for each in steps["PipelineExecutionSteps"]:
            if arn := each.get("Metadata", {}).get("ProcessingJob", {}).get("Arn"):
                return str(arn).rpartition("/")[2]
        state = clients.sagemaker.describe_pipeline_execution(PipelineExecutionArn=execution)
        if state["PipelineExecutionStatus"] in ("Failed", "Stopped", "Succeeded"):
            reason = state.get("FailureReason", "no step of it is a processing job")
            raise CannotStart(f"The execution is {state['PipelineExecutionStatus']}: {reason}")
        wait(SECONDS_BETWEEN_LOOKS)


# Following ----------------------------------------------------------------------------------------------------------


def follow(
    clients: Clients, name: str, *, say: Callable[[str], None], wait: Callable[[float], None] = time.sleep
) -> dict[str, Any]:
    """Say the job's log as it comes, until the job has ended; answers its description."""
    log, told = Log(clients.logs, name), ""
    while True:
        job: dict[str, Any] = clients.sagemaker.describe_processing_job(ProcessingJobName=name)
        for line in log.lines():
            say(line)
        status = str(job["ProcessingJobStatus"])
        if status in ENDED:
            return job
        if status != told:
            say(f"{name}: {status}")
            told = status
        wait(SECONDS_BETWEEN_LOOKS)


class Log:
    """What the job's containers have written, in CloudWatch Logs."""

    def __init__(self, logs: Any, job: str) -> None:
        self._logs, self._job = logs, job
        self._tokens: dict[str, str] = {}

    def lines(self) -> Iterator[str]:
        """Those that were not there before."""
        for stream in self._streams():
            while True:
                after = {"nextToken": self._tokens[stream]} if stream in self._tokens else {}
                found = self._logs.get_log_events(
                    logGroupName=LOG_GROUP, logStreamName=stream, startFromHead=True, **after
                )
                yield from (str(event["message"]).rstrip("\n") for event in found["events"])
                if found["nextForwardToken"] == self._tokens.get(stream):
                    break  # CloudWatch answers the token it was given at the end of a stream
                self._tokens[stream] = found["nextForwardToken"]

    def _streams(self) -> list[str]:
        try:
            found = self._logs.describe_log_streams(logGroupName=LOG_GROUP, logStreamNamePrefix=f"{self._job}/")
        except self._logs.exceptions.ResourceNotFoundException:
            return []  # the account's first job has not begun to write
        return sorted(str(stream["logStreamName"]) for stream in found["logStreams"])


def fetch(s3: Any, job: dict[str, Any], target: Path) -> list[Path]:
    """Download what the job's outputs have, below `target`; the files."""
    files = []
    for output in job["ProcessingOutputConfig"]["Outputs"]:
        bucket, prefix = split(output["S3Output"]["S3Uri"])
        for page in s3.get_paginator("list_objects_v2").paginate(Bucket=bucket, Prefix=f"{prefix}/"):
            for item in page.get("Contents", []):
                file = (target / item["Key"].removeprefix(f"{prefix}/")).resolve()
                if item["Key"].endswith("/") or not file.is_relative_to(target.resolve()):
                    continue  # a folder's marker, or a name that leads out of the target
                file.parent.mkdir(parents=True, exist_ok=True)
                s3.download_file(bucket, item["Key"], str(file))
                files.append(file)
    return files


def is_s3(data: str) -> bool:
    return data.startswith("s3://")


def split(uri: str) -> tuple[str, str]:
    """`s3://bucket/prefix/` -> bucket, prefix."""
    parts = urlsplit(uri)
    return parts.netloc, parts.path.strip("/")


def _cluster(request: dict[str, Any]) -> dict[str, Any]:
    found: dict[str, Any] = request["ProcessingResources"]["ClusterConfig"]
    return found


def _size(count: float) -> str:
    for unit in ("B", "KiB", "MiB"):
        if count < 1024:
            return f"{count:.0f} {unit}"
        count /= 1024
    return f"{count:.1f} GiB"


# The command --------------------------------------------------------------------------------------------------------


def environment_of(session: Any, deployment: str | None) -> step.Environment:
    """Where jobs run: by the deployment's SSM parameter when it is named, else by this process' environment.

    Raises:
        step.NotConfigured: when it is not known.
    """
    if not deployment:
        return step.Environment.of(os.environ, "the environment: outside Studio, say --deployment NAME")
    name = step.parameter_name(deployment)
    ssm = session.client("ssm")
    try:
        value = ssm.get_parameter(Name=name)["Parameter"]["Value"]
    except ssm.exceptions.ParameterNotFound:
        where = (
            f"{session.region_name}: is the deployment's name right, and its Region, and the research stack deployed?"
        )
        raise step.NotConfigured(f"There is no parameter {name} in {where}") from None
    return step.Environment.from_parameter(value, name)


def image_of(environment: step.Environment, image: str | None) -> str | None:
    """`name@sha256:…`, or with a tag, in the registry that the environment's image is in: in every partition."""
    if image is None or ".dkr.ecr." in image:
        return image
    return f"{environment.processing_image.partition('/')[0]}/{image}"


def main(arguments: Sequence[str] | None = None) -> int:
    """Returns the exit status."""
    given = parse_with_rest(_parser(), sys.argv[1:] if arguments is None else arguments)
    session = boto3.Session(region_name=given.region)
    try:
        return _run(given, session, _say)
    except (step.NotConfigured, CannotStart, BotoCoreError, ClientError) as error:
        print(error, file=sys.stderr)
        return 2


def _run(given: argparse.Namespace, session: Any, say: Callable[[str], None]) -> int:
    clients = Clients.of(session)
    if given.follow:
        return _finish(clients, given.follow, given.results, say)
    if not given.data:
        raise CannotStart("DATA is missing: a file, a folder or an s3:// address.")
    if not is_s3(given.data) and not Path(given.data).exists():
        raise CannotStart(f"{given.data}: there is no such file or folder.")
    environment = environment_of(session, given.deployment)
    name = job_name(environment.job_prefix, given.script)
    if given.pipeline:
        return _finish(clients, _start_pipeline(clients, environment, given, name, say), given.results, say)
    asked = request(
        environment,
        name=name,
        script=given.script,
        data=given.data,
        arguments=given.arguments,
        instance_type=given.instance_type,
        volume_gb=given.volume_gb,
        maximum_minutes=given.maximum_minutes,
        image=image_of(environment, given.image),
        network=given.network,
    )
    if given.dry_run:
        print(json.dumps(asked, indent=2))
        return 0
    launch(clients, asked, script=given.script, data=given.data, say=say)
    return _finish(clients, name, given.results, say)


def _start_pipeline(
    clients: Clients,
    environment: step.Environment,
    given: argparse.Namespace,
    name: str,
    say: Callable[[str], None],
) -> str:
    if given.arguments:
        raise CannotStart("A pipeline has parameters and no arguments: --parameter PercentMito=5")
    data = given.data
    if not is_s3(data):
        data = f"s3://{environment.bucket}/{JOBS}{name}/data"
        upload(clients.s3, Path(given.data), data, key=environment.key, say=say)
    execution = start_pipeline(
        clients,
        f"{environment.job_prefix}{given.pipeline}",
        {"Input": data, **dict(each.split("=", 1) for each in given.parameter)},
        token=name.ljust(32, "-"),
    )
    say(f"Started {execution}")
    return job_of_execution(clients, execution)


def _finish(clients: Clients, name: str, results: Path | None, say: Callable[[str], None]) -> int:
    try:
        job = follow(clients, name, say=say)
    except KeyboardInterrupt:
        say(f"The job goes on. To see it again: python -m research.launch --follow {name}")
        say(f"To stop it: aws sagemaker stop-processing-job --processing-job-name {name}")
        return 0
    status = job["ProcessingJobStatus"]
    reasons = [job[key] for key in ("ExitMessage", "FailureReason") if job.get(key)]
    say(": ".join([f"{name} {status}", *reasons]))
    if status != "Completed":
        return 1
    for file in fetch(clients.s3, job, results or Path(name)):
        say(f"Fetched {file}")
    return 0


def _say(line: str) -> None:
    print(line, flush=True)


def _parameter(text: str) -> str:
    if "=" not in text:
        raise argparse.ArgumentTypeError(f"{text!r} is not NAME=VALUE")
    return text


def _script(text: str) -> Path:
    if not Path(text).is_file():
        raise argparse.ArgumentTypeError(f"{text}: there is no such file")
    return Path(text)


def parse_with_rest(parser: argparse.ArgumentParser, arguments: Sequence[str]) -> argparse.Namespace:
    """What was typed; `arguments` of it is what comes after `--`, for the script."""
    mine, rest = list(arguments), []
    if "--" in mine:
        mine, rest = mine[: mine.index("--")], mine[mine.index("--") + 1 :]
    return parser.parse_args(mine, argparse.Namespace(arguments=rest))


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="python -m research.launch",
        usage="%(prog)s DATA [options] [-- arguments of the script]",
        description=(__doc__ or "").split("\n")[0],
        allow_abbrev=False,
    )
    parser.add_argument("data", nargs="?", metavar="DATA", help="a file, a folder, or an s3:// address")
    parser.add_argument("--script", type=_script, default=SCRIPT, help="what to run (default: jobs/qc_metrics.py)")
    parser.add_argument("--deployment", metavar="NAME", help="outside Studio: whose SSM parameter to read")
    parser.add_argument("--region", help="outside Studio: the deployment's, unless it is your default")
    parser.add_argument("--instance-type", default="ml.m5.xlarge", help="(default: %(default)s)")
    parser.add_argument("--volume-gb", type=int, default=30, help="(default: %(default)s)")
    parser.add_argument("--maximum-minutes", type=int, default=60, help="(default: %(default)s)")
    parser.add_argument("--image", help="another image of the registry: name@sha256:…")
    parser.add_argument("--network", action="store_true", help="let the script itself call AWS services")
    parser.add_argument("--results", type=Path, metavar="DIR", help="where to put results (default: the job's name)")
    parser.add_argument("--dry-run", action="store_true", help="print the request; upload and start nothing")
    parser.add_argument("--follow", metavar="JOB", help="take up a job that was started before")
    parser.add_argument("--pipeline", metavar="NAME", help="start this pipeline of the deployment file with DATA")
    parser.add_argument(
        "--parameter", action="append", default=[], type=_parameter, metavar="NAME=VALUE", help="of the pipeline"
    )
    return parser


if __name__ == "__main__":
    sys.exit(main())
