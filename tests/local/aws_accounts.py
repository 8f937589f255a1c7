"""Accounts of AWS for the tests of the emulator. What the tests create there is deleted at the end."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from functools import partial
from typing import Any, Self

from botocore.exceptions import ClientError, WaiterError

from cli.profiles import ProfileClients, callers
from tests.local.support import delete_bucket

Deletion = Callable[[Any, dict[str, Any], dict[str, Any]], object]
"""Deletes a resource, with a client, the parameters of the request that created it, and the response."""

_KEY_DAYS = 7
"""The shortest time in which KMS deletes a key. A key whose deletion is scheduled costs nothing."""
_PAUSES = (0, 10, 30)
"""Seconds before each attempt to delete. An archive's rule on its bus disappears some time after the archive."""
_REQUEST = "request of the test"


class AwsAccounts(ProfileClients):
    """Clients of the accounts of AWS profiles. A context manager: on exit it deletes what these clients created.

    profiles: names of AWS profiles, each of another account.
    propagation: seconds until a change of a role or its policies applies everywhere. A request that uses a role waits.
    """

    def __init__(self, profiles: Sequence[str], *, region: str, propagation: float) -> None:
        identities = callers(profiles, region=region)
        super().__init__(identities)
        self.numbers = list(identities)
        self._propagation, self._roles_changed = propagation, 0.0
        self._created: list[tuple[str, Callable[[], object]]] = []
        for account, caller in identities.items():
            caller.session.events.register("before-parameter-build", self._before)
            caller.session.events.register("after-call", partial(self._after, account))

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        """Delete in the reverse order, and raise an error that names what remains."""
        remaining = dict(reversed(self._created))
        errors: dict[str, Exception] = {}
        for pause in _PAUSES:
            time.sleep(pause if errors else 0)
            errors = {name: error for name, delete in remaining.items() if (error := _failure(delete))}
            remaining = {name: remaining[name] for name in errors}
        if errors:
            raise RuntimeError("Not deleted:\n" + "\n".join(f"{name}: {error}" for name, error in errors.items()))

    def _before(self, params: dict[str, Any], model: Any, context: dict[str, Any], **_: object) -> None:
        context[_REQUEST] = params
        if model.name in ("AssumeRole", "CreateFunction", "CreateStateMachine"):
            time.sleep(max(0.0, self._roles_changed + self._propagation - time.monotonic()))

    def _after(self, account: str, http_response: Any, parsed: Any, model: Any, context: Any, **_: object) -> None:
        if http_response.status_code >= 300:
            return
        if model.name in ("CreateRole", "PutRolePolicy"):
            self._roles_changed = time.monotonic()
        if model.name in _DELETIONS:
            client = self.client(model.service_model.service_name, account=account, region=context["client_region"])
            delete = partial(_DELETIONS[model.name], client, context[_REQUEST], parsed)
            names = {key: value for key, value in context[_REQUEST].items() if key.endswith(("Name", "name", "Bucket"))}
            self._created.append((f"{account} {context['client_region']} {model.name} {names or parsed}", delete))


def _failure(delete: Callable[[], object]) -> Exception | None:
    try:
        delete()
    except (ClientError, WaiterError) as error:
        return error
    return None


def _delete_role(iam: Any, request: dict[str, Any], _: object) -> None:
    role = request["RoleName"]
    for policy in iam.list_role_policies(RoleName=role)["PolicyNames"]:
        iam.delete_role_policy(RoleName=role, PolicyName=policy)
    iam.delete_role(RoleName=role)


def _delete_rule(events: Any, request: dict[str, Any], _: object) -> None:
    rule = {"EventBusName": request.get("EventBusName", "default")}
    targets = [target["Id"] for target in events.list_targets_by_rule(Rule=request["Name"], **rule)["Targets"]]
    if targets:
        events.remove_targets(Rule=request["Name"], Ids=targets, **rule)
    events.delete_rule(Name=request["Name"], **rule)


def _delete_stack(cloudformation: Any, request: dict[str, Any], _: object) -> None:
    stack = {"StackName": request["StackName"]}
    cloudformation.delete_stack(**stack)
    cloudformation.get_waiter("stack_delete_complete").wait(**stack, WaiterConfig={"Delay": 2, "MaxAttempts": 300})


_DELETIONS: dict[str, Deletion] = {
    "CreateArchive": lambda events, request, _: events.delete_archive(ArchiveName=request["ArchiveName"]),
    "CreateBucket": lambda s3, request, _: delete_bucket(s3, request["Bucket"]),
    "CreateEventBus": lambda events, request, _: events.delete_event_bus(Name=request["Name"]),
    "CreateFunction": lambda functions, _, made: functions.delete_function(FunctionName=made["FunctionName"]),
    "CreateKey": lambda kms, _, made: kms.schedule_key_deletion(
        KeyId=made["KeyMetadata"]["KeyId"], PendingWindowInDays=_KEY_DAYS
    ),
    "CreateQueue": lambda sqs, _, made: sqs.delete_queue(QueueUrl=made["QueueUrl"]),
    "CreateRole": _delete_role,
    "CreateStack": _delete_stack,
    "CreateStateMachine": lambda states, _, made: states.delete_state_machine(stateMachineArn=made["stateMachineArn"]),
    "CreateTopic": lambda sns, _, made: sns.delete_topic(TopicArn=made["TopicArn"]),
    "PutRule": _delete_rule,
}
"""For each operation that creates a resource, its deletion. A topic's subscriptions are deleted with it."""
