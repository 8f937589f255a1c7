"""Empties a Studio domain: apps, then spaces, then profiles that are not the template's; stops pipelines and jobs.

What researchers make in Studio is not in the stack, and SageMaker deletes no domain that has any of it.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from botocore.exceptions import ClientError

_GONE = frozenset({"Deleted"})
_BUSY = frozenset({"Pending", "Updating", "Deleting", "Stopping"})
"""Nothing can be done but wait. Any other state (InService, Failed, Update_Failed, Delete_Failed) can be deleted."""


class DomainHoldsData(Exception):
    """There are spaces, whose volumes would go with them, and the deployment does not say that it is ephemeral."""


@dataclass(frozen=True, kw_only=True)
class Domain:
    """What is to be emptied. `profiles` and `spaces` are the template's: CloudFormation deletes those itself."""

    id: str
    profiles: frozenset[str]
    spaces: frozenset[str]
    pipelines: tuple[str, ...]
    job_prefix: str
    job_role: str
    ephemeral: bool

    @classmethod
    def from_properties(cls, properties: dict[str, Any]) -> "Domain":
        return cls(
            id=properties["DomainId"],
            profiles=frozenset(properties["Profiles"]),
            spaces=frozenset(properties["Spaces"]),
            pipelines=tuple(properties["Pipelines"]),
            job_prefix=properties["JobPrefix"],
            job_role=properties["JobRole"],
            ephemeral=properties["Ephemeral"] == "true",
        )


class CleanUp:
    """`sagemaker`: boto3's client."""

    def __init__(self, sagemaker: Any) -> None:
        self.sagemaker = sagemaker

    def step(self, domain: Domain) -> list[str]:
        """Do what can be done now; answers what is still to go, nothing when the domain can be deleted.

        Raises:
            DomainHoldsData: there are spaces and the deployment is not ephemeral. Nothing was deleted.
        """
        spaces = list(self._pages("list_spaces", "Spaces", DomainIdEquals=domain.id))
        if spaces and not domain.ephemeral:
            named = ", ".join(sorted(space["SpaceName"] for space in spaces))
            raise DomainHoldsData(
                f"Deleting domain {domain.id} would delete the volumes of its spaces: {named}. Have their owners save "
                "what they need, then set ephemeral = true in the deployment file, deploy, and destroy again"
            )
        jobs = [*self._stop_executions(domain), *self._stop_jobs(domain)]
        if apps := list(self._delete_apps(domain)):
            return jobs + apps
        if left := list(self._delete_spaces(domain, spaces)):
            return jobs + left
        return jobs + list(self._delete_profiles(domain))

    def _delete_apps(self, domain: Domain) -> Iterator[str]:
        for app in self._pages("list_apps", "Apps", DomainIdEquals=domain.id):
            name, status, kind = app["AppName"], app["Status"], app["AppType"]
            if status in _GONE:
                continue
            owner = {key: app[key] for key in ("SpaceName", "UserProfileName") if app.get(key)}
            what = f"app {'/'.join(owner.values())}/{kind}/{name}"
            yield self._go(what, status, "delete_app", DomainId=domain.id, AppType=kind, AppName=name, **owner)

    def _delete_spaces(self, domain: Domain, spaces: list[dict[str, Any]]) -> Iterator[str]:
        for space in spaces:
            name = space["SpaceName"]
            if name not in domain.spaces:
                yield self._go(f"space {name}", space["Status"], "delete_space", DomainId=domain.id, SpaceName=name)

    def _delete_profiles(self, domain: Domain) -> Iterator[str]:
        for profile in self._pages("list_user_profiles", "UserProfiles", DomainIdEquals=domain.id):
            name = profile["UserProfileName"]
            if name not in domain.profiles:
                arguments = {"DomainId": domain.id, "UserProfileName": name}
                yield self._go(f"profile {name}", profile["Status"], "delete_user_profile", **arguments)

    def _stop_executions(self, domain: Domain) -> Iterator[str]:
        """SageMaker deletes no pipeline that runs, and one that runs starts jobs."""
        for pipeline in domain.pipelines:
            for each in self._pages(
                "list_pipeline_executions", "PipelineExecutionSummaries", PipelineName=pipeline, SortOrder="Descending"
            ):
                arn, status = each["PipelineExecutionArn"], each["PipelineExecutionStatus"]
                if status in ("Executing", "Stopping"):
                    # The same token again stops it once.
                    token = {"ClientRequestToken": arn.rpartition("/")[2].rjust(32, "0")}
                    yield self._go(
                        f"execution {arn}", status, "stop_pipeline_execution", PipelineExecutionArn=arn, **token
                    )

    def _stop_jobs(self, domain: Domain) -> Iterator[str]:
        """A job holds network interfaces in the VPC, which then cannot go either."""
        for status in ("InProgress", "Stopping"):
            for job in self._pages(
                "list_processing_jobs", "ProcessingJobSummaries", StatusEquals=status, NameContains=domain.job_prefix
            ):
                name = job["ProcessingJobName"]
                if self.sagemaker.describe_processing_job(ProcessingJobName=name)["RoleArn"] == domain.job_role:
                    yield self._go(f"job {name}", status, "stop_processing_job", ProcessingJobName=name)

    def _pages(self, operation: str, items: str, **arguments: str) -> Iterator[dict[str, Any]]:
        for page in self.sagemaker.get_paginator(operation).paginate(**arguments):
            yield from page[items]

    def _go(self, what: str, status: str, operation: str, **arguments: str) -> str:
        """Delete or stop it, unless it is busy; answers what is to be logged of it.

        An error passes: it may be gone or in use for a moment, and the next step sees which. One that stays is in the
        log each time, until CloudFormation gives up.
        """
        if status in _BUSY:
            return f"{what} {status}"
        try:
            getattr(self.sagemaker, operation)(**arguments)
        except ClientError as error:
            return f"{what} {status}: {error}"
        return f"{what} {status}"
