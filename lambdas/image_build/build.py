"""Start, status and end of an image build. An image whose tag is in the repository is not built again."""

import time
from typing import Any

from image_build.settings import Settings

LOG_LINES = 15
LOG_CHARACTERS = 1200
"""CloudFormation accepts 4 KB in a custom resource's response, and displays less than that."""
MAXIMUM_BUILDS = 4
"""Builds of one request. The role may read its own source only, and IAM takes seconds to apply a changed policy."""
START_SECONDS = 40 * 60
"""Time in which the build has to start. The provider's limit is 50 minutes."""
REQUEST = "REQUEST"
"""Variable of a build with the id of the request that started it."""


class ImageNotBuilt(Exception):
    """The build did not start, or it ended without an image.

    The message has the reason: CodeBuild's phase, the end of the log and a link to the log.
    """


class Builder:
    """Image builds. The arguments are boto3's clients for CodeBuild, ECR and CloudWatch Logs."""

    def __init__(self, *, codebuild: Any, ecr: Any, logs: Any) -> None:
        self.codebuild = codebuild
        self.ecr = ecr
        self.logs = logs

    def step(self, settings: Settings, *, request: str, requested: float) -> str | None:
        """Return the image's digest (`sha256:…`), or None while it does not exist. Start the build if there is none.

        Each call reads the state, so that a call can be repeated, and a build that could not start is started later.

        Args:
            settings: The image to build.
            request: Id of the request. It identifies the build.
            requested: Time of the request's first step, in seconds since 1970.

        Raises:
            ImageNotBuilt: The build did not start in time, failed, was stopped or timed out, or the image does not
                exist after it.
        """
        if digest := self._find(settings):
            return digest
        builds = self._own_builds(settings, request)
        if not builds or (_is_source_missing(builds[0]) and len(builds) < MAXIMUM_BUILDS):
            self._start(settings, request, requested, number=len(builds))
            return None
        build = builds[0]
        if build["buildStatus"] == "IN_PROGRESS":
            return None
        if build["buildStatus"] != "SUCCEEDED":
            raise ImageNotBuilt(self._explain(build))
        digest = self._find(settings)  # it may have been pushed since the first look
        if not digest:
            raise ImageNotBuilt(
                f"{settings.repository} has no image {settings.tag}, although it was built. It may have been deleted. "
                "Deploy again."
            )
        return digest

    def _start(self, settings: Settings, request: str, requested: float, *, number: int) -> None:
        variables = {"TAG": settings.tag, REQUEST: request}
        try:
            self.codebuild.start_build(
                projectName=settings.project,
                sourceTypeOverride="S3",
                sourceLocationOverride=settings.source,
                environmentVariablesOverride=[
                    {"name": name, "value": value, "type": "PLAINTEXT"} for name, value in variables.items()
                ],
                # CodeBuild may not list the build at the next call.
                idempotencyToken=f"{request}-{number}",
            )
        except self.codebuild.exceptions.AccountLimitExceededException as error:
            # The account's quota of builds is reached. The next call starts the build.
            if time.time() > requested + START_SECONDS:
                raise ImageNotBuilt(
                    f"CodeBuild started no build for {START_SECONDS // 60} minutes: {error}. Deploy again after the "
                    "account's other builds, or request a higher quota of concurrently running builds (Service Quotas, "
                    "AWS CodeBuild). A new account can have 0. An image that exists already needs no build."
                ) from None

    def _own_builds(self, settings: Settings, request: str) -> list[dict[str, Any]]:
        """Return the request's builds, among the last builds of the project, the newest first."""
        own = {"name": REQUEST, "value": request, "type": "PLAINTEXT"}
        builds = self._builds(settings)
        return [build for build in builds if own in build["environment"].get("environmentVariables", ())]

    def stop(self, settings: Settings) -> list[str]:
        """Stop the project's running builds and return their ids."""
        try:
            running = [build["id"] for build in self._builds(settings) if build["buildStatus"] == "IN_PROGRESS"]
        except self.codebuild.exceptions.ResourceNotFoundException:
            return []
        for build in running:
            self.codebuild.stop_build(id=build)
        return running

    def _builds(self, settings: Settings) -> list[dict[str, Any]]:
        """Return the project's last builds, the newest first."""
        response = self.codebuild.list_builds_for_project(projectName=settings.project, sortOrder="DESCENDING")
        ids = response.get("ids", [])
        builds: list[dict[str, Any]] = self.codebuild.batch_get_builds(ids=ids)["builds"] if ids else []
        return builds

    def _find(self, settings: Settings) -> str | None:
        images = [{"imageTag": settings.tag}]
        try:
            response = self.ecr.describe_images(repositoryName=settings.repository, imageIds=images)
        except self.ecr.exceptions.ImageNotFoundException:
            return None
        return next((str(image["imageDigest"]) for image in response["imageDetails"]), None)

    def _explain(self, state: dict[str, Any]) -> str:
        failed = _failed_phases(state)
        messages = [
            context["message"] for phase in failed for context in phase.get("contexts", []) if context.get("message")
        ]
        phases = ", ".join(phase["phaseType"] for phase in failed) or state.get("currentPhase", "an unknown phase")
        log = state.get("logs", {})
        return (
            f"CodeBuild {state['buildStatus']} in {phases} ({'; '.join(messages)[:300] or 'no reason given'}). "
            f"Log: {log.get('deepLink', 'none')} It ends with:\n{self._log_end(log)}"
        )

    def _log_end(self, log: dict[str, Any]) -> str:
        if not log.get("streamName"):
            return "(no log)"
        try:
            events = self.logs.get_log_events(
                logGroupName=log["groupName"], logStreamName=log["streamName"], limit=LOG_LINES, startFromHead=False
            )["events"]
        except self.logs.exceptions.ResourceNotFoundException:
            return "(no log)"
        return "\n".join(event["message"].rstrip() for event in events)[-LOG_CHARACTERS:]


def _failed_phases(build: dict[str, Any]) -> list[dict[str, Any]]:
    return [phase for phase in build.get("phases", []) if phase.get("phaseStatus") not in (None, "SUCCEEDED")]


def _is_source_missing(build: dict[str, Any]) -> bool:
    """Return whether a build ended because it could not read its source."""
    return [phase["phaseType"] for phase in _failed_phases(build)] == ["DOWNLOAD_SOURCE"]
