"""The log and the final status of a processing job. Plain boto3."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from typing import Any

LOG_GROUP = "/aws/sagemaker/ProcessingJobs"
ENDED = ("Completed", "Failed", "Stopped")
POLL_SECONDS = 5.0


def follow_job(sagemaker: Any, logs: Any, name: str, *, report: Callable[[str], None]) -> dict[str, Any]:
    """Report a job's log and changes of its status until it has ended. Return DescribeProcessingJob's response."""
    log, reported = Log(logs, name), ""
    while True:
        # Read the status first: if the job has ended, the log that is read afterwards is complete.
        job: dict[str, Any] = sagemaker.describe_processing_job(ProcessingJobName=name)
        for line in log.new_lines():
            report(line)
        status = str(job["ProcessingJobStatus"])
        if status in ENDED:
            return job
        if status != reported:
            report(f"{name}: {status}")
            reported = status
        time.sleep(POLL_SECONDS)


class Log:
    """The log streams of a job's containers in CloudWatch Logs."""

    def __init__(self, logs: Any, job: str) -> None:
        self._logs, self._job = logs, job
        self._tokens: dict[str, str] = {}

    def new_lines(self) -> Iterator[str]:
        """Yield the lines that were written since the last call."""
        for stream in self._streams():
            while True:
                after = {"nextToken": self._tokens[stream]} if stream in self._tokens else {}
                page = self._logs.get_log_events(
                    logGroupName=LOG_GROUP, logStreamName=stream, startFromHead=True, **after
                )
                yield from (str(event["message"]).rstrip("\n") for event in page["events"])
                if page["nextForwardToken"] == self._tokens.get(stream):
                    break  # at the end of a stream CloudWatch returns the token of the request
                self._tokens[stream] = page["nextForwardToken"]

    def _streams(self) -> list[str]:
        try:
            page = self._logs.describe_log_streams(logGroupName=LOG_GROUP, logStreamNamePrefix=f"{self._job}/")
        except self._logs.exceptions.ResourceNotFoundException:
            return []  # SageMaker creates the log group when the account's first job writes to it
        return sorted(str(stream["logStreamName"]) for stream in page["logStreams"])
