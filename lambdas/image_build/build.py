"""Start, status and end of an image build. An image whose tag is in the repository is not built again."""

from typing import Any

from image_build.settings import Settings

LOG_LINES = 15
LOG_CHARACTERS = 1200
"""CloudFormation accepts 4 KB in a custom resource's response, and displays less than that."""


class ImageNotBuilt(Exception):
    """The build ended without an image. The message has CodeBuild's phase, the end of the log and a link to the log."""


class Builder:
    """Image builds. The arguments are boto3's clients for CodeBuild, ECR and CloudWatch Logs."""

    def __init__(self, *, codebuild: Any, ecr: Any, logs: Any) -> None:
        self.codebuild = codebuild
        self.ecr = ecr
        self.logs = logs

    def start(self, settings: Settings, *, token: str) -> str:
        """Start a build and return its id, or "" if the image exists. The same token starts no second build."""
        if self._find(settings):
            return ""
        response = self.codebuild.start_build(
            projectName=settings.project,
            sourceTypeOverride="S3",
            sourceLocationOverride=settings.source,
            environmentVariablesOverride=[{"name": "TAG", "value": settings.tag, "type": "PLAINTEXT"}],
            idempotencyToken=token,
        )
        return str(response["build"]["id"])

    def digest(self, settings: Settings, *, build: str) -> str | None:
        """Return the image's digest (`sha256:…`), or None while the build is in progress.

        Raises:
            ImageNotBuilt: The build failed, was stopped or timed out, or the image does not exist after it.
        """
        if build:
            (state,) = self.codebuild.batch_get_builds(ids=[build])["builds"]
            if state["buildStatus"] == "IN_PROGRESS":
                return None
            if state["buildStatus"] != "SUCCEEDED":
                raise ImageNotBuilt(self._explain(state))
        digest = self._find(settings)
        if not digest:
            raise ImageNotBuilt(
                f"{settings.repository} has no image {settings.tag}, although it was built or existed before. It may "
                "have been deleted. Deploy again."
            )
        return digest

    def stop(self, settings: Settings) -> list[str]:
        """Stop the project's running builds and return their ids."""
        try:
            response = self.codebuild.list_builds_for_project(projectName=settings.project, sortOrder="DESCENDING")
        except self.codebuild.exceptions.ResourceNotFoundException:
            return []
        ids = response.get("ids", [])
        builds = self.codebuild.batch_get_builds(ids=ids)["builds"] if ids else []
        running = [build["id"] for build in builds if build["buildStatus"] == "IN_PROGRESS"]
        for build in running:
            self.codebuild.stop_build(id=build)
        return running

    def _find(self, settings: Settings) -> str | None:
        images = [{"imageTag": settings.tag}]
        try:
            response = self.ecr.describe_images(repositoryName=settings.repository, imageIds=images)
        except self.ecr.exceptions.ImageNotFoundException:
            return None
        return next((str(image["imageDigest"]) for image in response["imageDetails"]), None)

    def _explain(self, state: dict[str, Any]) -> str:
        failed = [phase for phase in state.get("phases", []) if phase.get("phaseStatus") not in (None, "SUCCEEDED")]
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
