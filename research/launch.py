"""Start a script as a processing job, follow it and download its results. Plain boto3.

    python -m research.launch DATA [options] [-- arguments of the script]

DATA is a file or a folder, which is uploaded, or the s3:// address of an object or a folder. Of a folder with several
data sets, the job makes one table; with `--each`, each has its own job. In Studio, the job environment
(RESEARCH_BUCKET and so on) is in the app's environment. Elsewhere, `--deployment NAME` reads it from the stack's SSM
parameter.

Ctrl-C does not stop the job; `--follow JOB` follows it again, and `--stop JOB` stops it. Exit status: 0; 1 if the job
failed or was stopped; 2 if it could not be started.
"""

from __future__ import annotations

import argparse
import json
import os
import re
import secrets
import sys
import tempfile
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import boto3
from botocore.exceptions import BotoCoreError, ClientError

from research import follow, processing_job
from research.script import file_name, is_script, write
from research.transfer import NoSuchData, copy, entries, fetch, is_s3, locate, upload

SCRIPT = Path(__file__).parent / "jobs" / "qc_metrics"
JOBS = "shared/jobs/"
"""Prefix of launched jobs in the data bucket: `<job>/data/`, `<job>/code/`, `<job>/output/`."""


class CannotStart(Exception):
    """The job was not started. The message gives the reason."""


@dataclass(frozen=True)
class Clients:
    """boto3's clients of the research account and Region."""

    s3: Any
    sagemaker: Any
    logs: Any

    @classmethod
    def of(cls, session: Any) -> Clients:
        """Return the clients of a boto3 session."""
        return cls(*(session.client(service) for service in ("s3", "sagemaker", "logs")))


# Jobs ---------------------------------------------------------------------------------------------------------------


def job_name(prefix: str, script: Path) -> str:
    """Return `<prefix><script>-<time>-<random>`, within SageMaker's limit of 63 letters, digits and hyphens."""
    stem = re.sub(r"[^A-Za-z0-9]+", "-", script.stem).strip("-")
    unique = f"{datetime.now(UTC):%Y%m%d-%H%M%S}-{secrets.token_hex(2)}"
    return f"{prefix}{stem[: 62 - len(prefix) - len(unique)].strip('-')}-{unique}"


def request(
    environment: processing_job.Environment,
    *,
    name: str,
    script: Path,
    data: str,
    arguments: Sequence[str],
    **options: Any,
) -> dict[str, Any]:
    """Return the request for a job with a local script. `data` is a local path or an s3:// address.

    `options` are keyword arguments of `processing_job.request`.

    Raises:
        CannotStart: SageMaker does not accept an argument.
    """
    check_arguments(arguments)
    base = f"s3://{environment.bucket}/{JOBS}{name}"
    return processing_job.request(
        environment,
        name=name,
        script=file_name(script),
        code=f"{base}/code/{file_name(script)}",
        data=data if is_s3(data) else f"{base}/data",
        output=f"{base}/output",
        arguments=arguments,
        **options,
    )


def check_arguments(arguments: Sequence[str]) -> None:
    """Check a script's arguments by SageMaker's limits (API reference, AppSpecification).

    Raises:
        CannotStart: There are more than 100, or one is empty, longer than 256 characters, or has a line end.
    """
    if len(arguments) > 100:
        raise CannotStart(f"{len(arguments)} arguments: SageMaker allows at most 100.")
    for argument in arguments:
        if len(argument) > 256 or len(argument.splitlines()) != 1:
            raise CannotStart(f"Argument {argument[:60]!r}: must have 1 to 256 characters, without line ends.")


def address_of(s3: Any, data: str, *, own: str) -> str:
    """Return the address in S3 that a job reads: of the data alone, or `own`, for data to upload or to copy there.

    Raises:
        NoSuchData: There is no such object or folder.
    """
    if not is_s3(data):
        return own
    address, alone = locate(s3, data)
    return address if alone else own


def provide(s3: Any, data: str, address: str, *, key: str, report: Callable[[str], None]) -> None:
    """Upload local data to the address that `address_of` returned, or copy an object that has neighbours."""
    if not is_s3(data):
        upload(s3, Path(data), address, key=key, report=report)
    elif address.rstrip("/") != data.rstrip("/"):
        report(f"Copying {data}: other keys begin like it, and SageMaker would read them too")
        copy(s3, data, address, key=key)


def start_job(
    clients: Clients, request: dict[str, Any], *, script: Path, data: str, report: Callable[[str], None]
) -> None:
    """Upload the script, and provide the data unless it is in S3 already, then start the job."""
    data_uri, code_uri = (entry["S3Input"]["S3Uri"] for entry in request["ProcessingInputs"])
    key = request["ProcessingOutputConfig"]["KmsKeyId"]
    provide(clients.s3, data, data_uri, key=key, report=report)
    with tempfile.TemporaryDirectory() as folder:
        upload(clients.s3, write(script, Path(folder)), code_uri.rpartition("/")[0], key=key, report=report)
    clients.sagemaker.create_processing_job(**request)
    instance_type = request["ProcessingResources"]["ClusterConfig"]["InstanceType"]
    report(f"Started {request['ProcessingJobName']} on {instance_type}")


# Pipelines ----------------------------------------------------------------------------------------------------------


def start_execution(clients: Clients, pipeline: str, parameters: dict[str, str], *, token: str) -> str:
    """Start a pipeline and return the execution's ARN. A repeated call with the same token starts no second one."""
    response = clients.sagemaker.start_pipeline_execution(
        PipelineName=pipeline,
        ClientRequestToken=token,
        PipelineParameters=[{"Name": name, "Value": value} for name, value in parameters.items()],
    )
    return str(response["PipelineExecutionArn"])


def wait_for_job(clients: Clients, execution: str) -> str:
    """Wait until a pipeline's execution has started its processing job. Return the job's name.

    Raises:
        CannotStart: The execution ended without a processing job.
    """
    while True:
        steps = clients.sagemaker.list_pipeline_execution_steps(PipelineExecutionArn=execution)
        for step in steps["PipelineExecutionSteps"]:
            if arn := step.get("Metadata", {}).get("ProcessingJob", {}).get("Arn"):
                return str(arn).rpartition("/")[2]
        state = clients.sagemaker.describe_pipeline_execution(PipelineExecutionArn=execution)
        if state["PipelineExecutionStatus"] in ("Failed", "Stopped", "Succeeded"):
            reason = state.get("FailureReason", "no step of the pipeline is a processing job")
            raise CannotStart(f"The execution is {state['PipelineExecutionStatus']}: {reason}")
        time.sleep(follow.POLL_SECONDS)


# The command --------------------------------------------------------------------------------------------------------


def read_environment(session: Any, deployment: str | None) -> processing_job.Environment:
    """Return the job environment: of the deployment, if one is named, otherwise of this process.

    Raises:
        NotConfigured: There is no such parameter, or a variable is missing.
    """
    if not deployment:
        source = "the environment. Outside Studio, use --deployment NAME"
        return processing_job.Environment.of(os.environ, source)
    name = processing_job.parameter_name(deployment)
    ssm = session.client("ssm")
    try:
        value = ssm.get_parameter(Name=name)["Parameter"]["Value"]
    except ssm.exceptions.ParameterNotFound:
        raise processing_job.NotConfigured(
            f"There is no parameter {name} in {session.region_name}. Check the deployment's name and Region, or deploy "
            "its research stack."
        ) from None
    return processing_job.Environment.from_parameter(value, name)


def image_uri(environment: processing_job.Environment, image: str | None) -> str | None:
    """Return the address of an image of the deployment file, or of `name@sha256:…` or `name:tag` in its registry.

    Raises:
        CannotStart: The deployment file has no such image for jobs.
    """
    if image is None or ".dkr.ecr." in image:
        return image
    if not re.search("[:@]", image):
        others = environment.other_images
        if (name := image.replace("-", "_")) not in others:
            raise CannotStart(f"--image {image}: jobs have the images {', '.join(others) or 'of no other name'}.")
        return str(others[name])
    return f"{environment.processing_image.partition('/')[0]}/{image}"


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command. Return the exit status."""
    options = _parse(sys.argv[1:] if arguments is None else arguments)
    try:
        return _run(options, boto3.Session(region_name=options.region), _print)
    except (processing_job.NotConfigured, CannotStart, NoSuchData, BotoCoreError, ClientError) as error:
        print(error, file=sys.stderr)
        return 2


def _run(options: argparse.Namespace, session: Any, report: Callable[[str], None]) -> int:
    clients = Clients.of(session)
    if options.stop:
        clients.sagemaker.stop_processing_job(ProcessingJobName=options.stop)
        report(f"Stopping {options.stop}")
        return 0
    if options.follow:
        return finish(clients, options.follow, options.results, report)
    if not options.data:
        raise CannotStart("DATA is missing: a file, a folder or an s3:// address.")
    if not is_s3(options.data) and not Path(options.data).exists():
        raise CannotStart(f"{options.data}: there is no such file or folder.")
    if options.pipeline and options.arguments:
        raise CannotStart("A pipeline has parameters instead of arguments: --parameter PercentMito=5")
    environment = read_environment(session, options.deployment)
    if options.each:
        return _run_each(clients, environment, options, report)
    name = _start(clients, environment, options, options.data, report)
    return finish(clients, name, options.results, report) if name else 0


def _start(
    clients: Clients,
    environment: processing_job.Environment,
    options: argparse.Namespace,
    data: str,
    report: Callable[[str], None],
) -> str | None:
    """Start the job or the pipeline with the data. Return the job's name; None if only the request is printed."""
    name = job_name(environment.job_prefix, options.script)
    address = address_of(clients.s3, data, own=f"s3://{environment.bucket}/{JOBS}{name}/data")
    if options.pipeline:
        return _start_pipeline(clients, environment, options, name, data, address, report)
    body = request(
        environment,
        name=name,
        script=options.script,
        data=address,
        arguments=options.arguments,
        instance_type=options.instance_type,
        volume_gb=options.volume_gb,
        maximum_minutes=options.maximum_minutes,
        image=image_uri(environment, options.image),
        network=options.network,
    )
    if options.dry_run:
        print(json.dumps(body, indent=2))
        return None
    start_job(clients, body, script=options.script, data=data, report=report)
    return name


def _run_each(
    clients: Clients,
    environment: processing_job.Environment,
    options: argparse.Namespace,
    report: Callable[[str], None],
) -> int:
    """Start a job for each entry of the folder. If the account's quota is reached, wait for the end of the first."""
    running: list[tuple[str, Path]] = []
    status = 0
    for data in entries(clients.s3, options.data):
        results = (options.results or Path()) / data.rstrip("/").rpartition("/")[2]
        while True:
            try:
                name = _start(clients, environment, options, data, report)
            except clients.sagemaker.exceptions.ResourceLimitExceeded as error:
                if not running:
                    raise
                report(f"{error} Waiting for {running[0][0]}")
                status |= finish(clients, *running.pop(0), report)
            else:
                break
        running += [(name, results)] if name else []
    for name, results in running:
        status |= finish(clients, name, results, report)
    return status


def _start_pipeline(
    clients: Clients,
    environment: processing_job.Environment,
    options: argparse.Namespace,
    name: str,
    data: str,
    address: str,
    report: Callable[[str], None],
) -> str:
    provide(clients.s3, data, address, key=environment.key, report=report)
    execution = start_execution(
        clients,
        f"{environment.job_prefix}{options.pipeline}",
        {"Input": address, **dict(parameter.split("=", 1) for parameter in options.parameter)},
        token=name.ljust(32, "-"),
    )
    report(f"Started {execution}")
    return wait_for_job(clients, execution)


def finish(clients: Clients, name: str, results: Path | None, report: Callable[[str], None]) -> int:
    """Follow a job and download its results. Return the exit status."""
    try:
        job = follow.follow_job(clients.sagemaker, clients.logs, name, report=report)
    except KeyboardInterrupt:
        report(f"The job continues. To follow it again: python -m research.launch --follow {name}")
        report(f"To stop it: python -m research.launch --stop {name}")
        return 0
    status = job["ProcessingJobStatus"]
    reasons = [job[key] for key in ("ExitMessage", "FailureReason") if job.get(key)]
    report(": ".join([f"{name} {status}", *reasons]))
    if status != "Completed":
        return 1
    for file in fetch(clients.s3, job, results or Path(name)):
        report(f"Downloaded {file}")
    return 0


def _print(line: str) -> None:
    print(line, flush=True)


def _parse(arguments: Sequence[str]) -> argparse.Namespace:
    """Parse a command line. The arguments after `--` are in `arguments`, for the script."""
    own, rest = list(arguments), []
    if "--" in own:
        own, rest = own[: own.index("--")], own[own.index("--") + 1 :]
    return _parser().parse_args(own, argparse.Namespace(arguments=rest))


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="python -m research.launch",
        usage="%(prog)s DATA [options] [-- arguments of the script]",
        description=(__doc__ or "").split("\n")[0],
        allow_abbrev=False,
    )
    parser.add_argument("data", nargs="?", metavar="DATA", help="a file, a folder, or an s3:// address")
    parser.add_argument(
        "--script", type=_script, default=SCRIPT, help="script to run or folder (default: jobs/qc_metrics)"
    )
    parser.add_argument("--deployment", metavar="NAME", help="deployment to use (default: this Studio app's)")
    parser.add_argument("--region", help="Region of the deployment (default: boto3's)")
    parser.add_argument("--instance-type", default="ml.m5.xlarge", help="type of the instance (default: %(default)s)")
    parser.add_argument("--volume-gb", type=int, default=30, help="size of the volume in GB (default: %(default)s)")
    parser.add_argument("--maximum-minutes", type=int, default=60, help="time limit in minutes (default: %(default)s)")
    parser.add_argument("--image", help="another image of the deployment, or name@sha256:… (default: its first)")
    parser.add_argument("--network", action="store_true", help="allow the script to call AWS services")
    parser.add_argument("--each", action="store_true", help="start a job for each file and folder directly in DATA")
    parser.add_argument("--results", type=Path, metavar="DIR", help="folder for the results (default: the job's name)")
    parser.add_argument("--dry-run", action="store_true", help="print the request and exit")
    parser.add_argument("--follow", metavar="JOB", help="follow a job that was started earlier")
    parser.add_argument("--stop", metavar="JOB", help="stop a job that was started earlier")
    parser.add_argument("--pipeline", metavar="NAME", help="start a pipeline of the deployment file with DATA")
    parser.add_argument(
        "--parameter", action="append", default=[], type=_parameter, metavar="NAME=VALUE", help="pipeline parameter"
    )
    return parser


def _parameter(text: str) -> str:
    if "=" not in text:
        raise argparse.ArgumentTypeError(f"{text!r} is not NAME=VALUE")
    return text


def _script(text: str) -> Path:
    if not is_script(Path(text)):
        raise argparse.ArgumentTypeError(f"{text}: there is no such file, and no folder with __main__.py")
    return Path(text)


if __name__ == "__main__":
    sys.exit(main())
