"""Deletion of a domain's apps, and of spaces and profiles that are not in the template.

SageMaker does not delete a domain that contains any of them. Pipeline executions and jobs are stopped, too.
"""

from collections.abc import Iterable, Iterator
from typing import Any

from botocore.exceptions import ClientError

from domain_clean_up.settings import CleanUpSettings

_GONE = frozenset({"Deleted"})
_BUSY = frozenset({"Pending", "Updating", "Deleting", "Stopping"})
"""States in which a deletion must wait. In all other states (InService, Failed, …) it is possible."""


class DomainHoldsData(Exception):
    """The domain has spaces, whose volumes would be deleted, and the deployment is not ephemeral."""


class CleanUp:
    """The steps of the clean-up. `sagemaker` is boto3's client."""

    def __init__(self, sagemaker: Any) -> None:
        self.sagemaker = sagemaker

    def step(self, settings: CleanUpSettings) -> list[str]:
        """Do the deletions that are possible now. Return the remaining resources: none if the domain can be deleted.

        Raises:
            DomainHoldsData: The domain has spaces and the deployment is not ephemeral. Nothing was deleted.
        """
        spaces = list(self._list("list_spaces", "Spaces", DomainIdEquals=settings.domain_id))
        if spaces and not settings.ephemeral:
            raise DomainHoldsData(
                f"Deleting domain {settings.domain_id} would delete the volumes of its spaces: {_describe(spaces)}. "
                "Ask their owners to save their data. Then set ephemeral = true in the deployment file, deploy and "
                "destroy again."
            )
        jobs = [*self._stop_executions(settings), *self._stop_jobs(settings)]
        if apps := list(self._delete_apps(settings)):
            return jobs + apps
        if remaining := list(self._delete_spaces(settings, spaces)):
            return jobs + remaining
        return jobs + list(self._delete_profiles(settings))

    def kept_spaces(self, settings: CleanUpSettings) -> str:
        """Describe the shared spaces that are not in the template any more. Their volumes cost money."""
        spaces = self._list("list_spaces", "Spaces", DomainIdEquals=settings.domain_id)
        return _describe(
            space
            for space in spaces
            if space.get("SpaceSharingSettingsSummary", {}).get("SharingType") == "Shared"
            and space["SpaceName"] not in settings.spaces
        )

    def _delete_apps(self, settings: CleanUpSettings) -> Iterator[str]:
        for app in self._list("list_apps", "Apps", DomainIdEquals=settings.domain_id):
            name, status, kind = app["AppName"], app["Status"], app["AppType"]
            if status in _GONE:
                continue
            owner = {key: app[key] for key in ("SpaceName", "UserProfileName") if app.get(key)}
            label = f"app {'/'.join(owner.values())}/{kind}/{name}"
            arguments = {"DomainId": settings.domain_id, "AppType": kind, "AppName": name, **owner}
            yield self._remove(label, status, "delete_app", **arguments)

    def _delete_spaces(self, settings: CleanUpSettings, spaces: list[dict[str, Any]]) -> Iterator[str]:
        for space in spaces:
            name = space["SpaceName"]
            if name not in settings.spaces:
                arguments = {"DomainId": settings.domain_id, "SpaceName": name}
                yield self._remove(f"space {name}", space["Status"], "delete_space", **arguments)

    def _delete_profiles(self, settings: CleanUpSettings) -> Iterator[str]:
        for profile in self._list("list_user_profiles", "UserProfiles", DomainIdEquals=settings.domain_id):
            name = profile["UserProfileName"]
            if name not in settings.profiles:
                arguments = {"DomainId": settings.domain_id, "UserProfileName": name}
                yield self._remove(f"profile {name}", profile["Status"], "delete_user_profile", **arguments)

    def _stop_executions(self, settings: CleanUpSettings) -> Iterator[str]:
        """Stop the pipelines' executions: SageMaker does not delete a running pipeline, which would start jobs."""
        for pipeline in settings.pipelines:
            try:
                executions = list(self._list_executions(pipeline))
            except self.sagemaker.exceptions.ResourceNotFound:
                continue  # the pipeline was deleted by hand
            for execution in executions:
                arn, status = execution["PipelineExecutionArn"], execution["PipelineExecutionStatus"]
                if status in ("Executing", "Stopping"):
                    # A request with the same token stops the execution once.
                    token = arn.rpartition("/")[2].rjust(32, "0")
                    arguments = {"PipelineExecutionArn": arn, "ClientRequestToken": token}
                    yield self._remove(f"execution {arn}", status, "stop_pipeline_execution", **arguments)

    def _list_executions(self, pipeline: str) -> Iterator[dict[str, Any]]:
        arguments = {"PipelineName": pipeline, "SortOrder": "Descending"}
        return self._list("list_pipeline_executions", "PipelineExecutionSummaries", **arguments)

    def _stop_jobs(self, settings: CleanUpSettings) -> Iterator[str]:
        """Stop the jobs: their network interfaces would block the deletion of the VPC."""
        for status in ("InProgress", "Stopping"):
            for job in self._list(
                "list_processing_jobs", "ProcessingJobSummaries", StatusEquals=status, NameContains=settings.job_prefix
            ):
                name = job["ProcessingJobName"]
                if name.startswith(settings.job_prefix):  # SageMaker lists names that contain the prefix
                    yield self._remove(f"job {name}", status, "stop_processing_job", ProcessingJobName=name)

    def _list(self, operation: str, items: str, **arguments: str) -> Iterator[dict[str, Any]]:
        for page in self.sagemaker.get_paginator(operation).paginate(**arguments):
            yield from page[items]

    def _remove(self, label: str, status: str, operation: str, **arguments: str) -> str:
        """Delete or stop a resource, unless it is busy. Return a line for the log.

        An error is part of the line and not raised: the resource may be deleted already, or still in use. A lasting
        error is in the log of each step until CloudFormation's timeout.
        """
        if status in _BUSY:
            return f"{label} {status}"
        try:
            getattr(self.sagemaker, operation)(**arguments)
        except ClientError as error:
            return f"{label} {status}: {error}"
        return f"{label} {status}"


def _describe(spaces: Iterable[dict[str, Any]]) -> str:
    """Return names, sizes and owners for an error or an output, at most 1000 characters."""
    lines = []
    for space in sorted(spaces, key=lambda space: str(space["SpaceName"])):
        storage = space.get("SpaceSettingsSummary", {}).get("SpaceStorageSettings", {}).get("EbsStorageSettings", {})
        size = f"{storage['EbsVolumeSizeInGb']} GB" if storage else "size unknown"
        owner = space.get("OwnershipSettingsSummary", {}).get("OwnerUserProfileName", "unknown")
        lines.append(f"{space['SpaceName']} ({size}, owner {owner})")
    text = ", ".join(lines)
    return text if len(text) <= 1000 else f"{text[:980]}… of {len(lines)}"
