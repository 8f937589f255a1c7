"""Builds an image unless the repository has it already, by the tag that names its content."""

from dataclasses import dataclass
from typing import Any

LOG_LINES = 15
LOG_CHARACTERS = 1200
"""CloudFormation takes 4 KB of a custom resource's answer, and shows less."""


class ImageNotBuilt(Exception):
    """The build ended without an image. The text has CodeBuild's phase, the end of its log and the link to the rest."""


@dataclass(frozen=True, kw_only=True)
class Request:
    """`source` is `bucket/key` of the zipped build context."""

    project: str
    repository: str
    tag: str
    source: str

    @classmethod
    def from_properties(cls, properties: dict[str, str]) -> "Request":
        return cls(
            project=properties["Project"],
            repository=properties["Repository"],
            tag=properties["Tag"],
            source=properties["Source"],
        )


class Builder:
    """`codebuild`, `ecr`, `logs`: boto3's clients."""

    def __init__(self, *, codebuild: Any, ecr: Any, logs: Any) -> None:
        self.codebuild = codebuild
        self.ecr = ecr
        self.logs = logs

    def start(self, request: Request, *, token: str) -> str:
        """Start a build; answers its id, or "" when the image is there. The same token starts no second build."""
        if self._find(request):
            return ""
        answer = self.codebuild.start_build(
            projectName=request.project,
            sourceTypeOverride="S3",
            sourceLocationOverride=request.source,
            environmentVariablesOverride=[{"name": "TAG", "value": request.tag, "type": "PLAINTEXT"}],
            idempotencyToken=token,
        )
        return str(answer["build"]["id"])

    def digest(self, request: Request, *, build: str) -> str | None:
        """The image's digest (`sha256:…`), or None while the build goes on.

        Raises:
            ImageNotBuilt: it failed, was stopped or ran out of time, or left no image.
        """
        if build:
            (state,) = self.codebuild.batch_get_builds(ids=[build])["builds"]
            if state["buildStatus"] == "IN_PROGRESS":
                return None
            if state["buildStatus"] != "SUCCEEDED":
                raise ImageNotBuilt(self._explain(state))
        digest = self._find(request)
        if not digest:
            raise ImageNotBuilt(
                f"{request.repository} has no image {request.tag}, although {build or 'it was there a moment ago'}: "
                "was it deleted meanwhile? Deploy again"
            )
        return digest

    def stop(self, request: Request) -> list[str]:
        """Stop the project's builds that still run; answers their ids."""
        try:
            answer = self.codebuild.list_builds_for_project(projectName=request.project, sortOrder="DESCENDING")
        except self.codebuild.exceptions.ResourceNotFoundException:
            return []
        ids = answer.get("ids", [])
        builds = self.codebuild.batch_get_builds(ids=ids)["builds"] if ids else []
        running = [build["id"] for build in builds if build["buildStatus"] == "IN_PROGRESS"]
        for build in running:
            self.codebuild.stop_build(id=build)
        return running

    def _find(self, request: Request) -> str | None:
        try:
            answer = self.ecr.describe_images(repositoryName=request.repository, imageIds=[{"imageTag": request.tag}])
        except self.ecr.exceptions.ImageNotFoundException:
            return None
        return next((str(image["imageDigest"]) for image in answer["imageDetails"]), None)

    def _explain(self, state: dict[str, Any]) -> str:
        failed = [phase for phase in state.get("phases", []) if phase.get("phaseStatus") not in (None, "SUCCEEDED")]
        contexts = [
            context["message"] for phase in failed for context in phase.get("contexts", []) if context.get("message")
        ]
        where = ", ".join(phase["phaseType"] for phase in failed) or state.get("currentPhase", "an unknown phase")
        log = state.get("logs", {})
        return (
            f"CodeBuild {state['buildStatus']} in {where} ({'; '.join(contexts)[:300] or 'no reason given'}). "
            f"Log: {log.get('deepLink', 'none')} It ends with:\n{self._log_end(log)}"
        )

    def _log_end(self, log: dict[str, Any]) -> str:
        if not log.get("streamName"):
            return "(nothing was logged)"
        try:
            events = self.logs.get_log_events(
                logGroupName=log["groupName"], logStreamName=log["streamName"], limit=LOG_LINES, startFromHead=False
            )["events"]
        except self.logs.exceptions.ResourceNotFoundException:
            return "(nothing was logged)"
        return "\n".join(event["message"].rstrip() for event in events)[-LOG_CHARACTERS:]
