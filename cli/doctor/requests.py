"""Read-only requests to one account. A request that AWS denies, or that is not offered, is recorded and skipped."""

from __future__ import annotations

import re
import threading
from collections.abc import Iterator, Mapping
from typing import Any

from botocore.exceptions import BotoCoreError, ClientError

from cli.doctor.properties import Read
from cli.profiles import ProfileClients

_PREFIXES = {
    "accessanalyzer": "access-analyzer",
    "service-quotas": "servicequotas",
}
"""Prefixes of actions in IAM, where they differ from the client's name."""
_ABSENT = re.compile(r"NoSuch|NotFound|NonExistent|DoesNotExist")


class AbsentError(Exception):
    """The resource or setting of a request does not exist."""


class Requests:
    """Requests with the credentials of one account."""

    def __init__(self, clients: ProfileClients, account: str) -> None:
        self.account = account
        self._clients = clients
        self._refused: dict[tuple[str, str], str] = {}
        self._skipped: set[tuple[str, str]] = set()
        self._lock = threading.Lock()

    @property
    def refused(self) -> list[tuple[str, str, str]]:
        """Requests that were not possible: permission, reason, and account with Region."""
        found = sorted(self._refused.items())
        return [(permission, reason, f"{self.account} {region}") for (permission, region), reason in found]

    def ask(self, service: str, operation: str, region: str, **parameters: Any) -> Any:
        """Return the response, or None if the request is denied or not offered.

        operation: the client's method, such as `get_queue_attributes`.

        Raises:
            AbsentError: the resource does not exist.
        """
        return next(self.pages(service, operation, region, **parameters), None)

    def read(self, read: Read, region: str, names: Mapping[str, str]) -> Any:
        """Return the response to a request that names values, such as `{physical}`. See `ask`."""
        service, _, operation = read.request.partition(".")
        return self.ask(service, operation, region, **named(read.arguments, names))

    def pages(self, service: str, operation: str, region: str, **parameters: Any) -> Iterator[Any]:
        """Yield the response's pages: all, or none if one of them is denied. See `ask`."""
        client = self._clients.client(service, account=self.account, region=region)
        permission = f"{_PREFIXES.get(service, service)}:{client.meta.method_to_api_mapping[operation]}"
        if (permission, region) in self._skipped:
            return
        try:
            if client.can_paginate(operation):
                found = list(client.get_paginator(operation).paginate(**parameters))
            else:
                found = [getattr(client, operation)(**parameters)]
        except ClientError as error:
            code, message = error.response["Error"]["Code"], error.response["Error"].get("Message", "")
            if _ABSENT.search(code) or (code == "ValidationError" and "does not exist" in message):
                raise AbsentError(message) from error
            self._refuse(permission, region, code, message)
        except BotoCoreError as error:
            self._refuse(permission, region, type(error).__name__, str(error))
        else:
            yield from found

    def _refuse(self, permission: str, region: str, code: str, message: str) -> None:
        """Record a denied request. AWS names the missing permission, which can be another one than the request's."""
        named = re.search(r"not authorized to perform:? ([\w-]+:\w+)", message)
        reason = "not allowed" if named or "AccessDenied" in code else f"{code}: {message}"
        with self._lock:
            self._skipped.add((permission, region))
            self._refused[named[1] if named else permission, region] = reason


def named(value: Any, names: Mapping[str, str]) -> Any:
    """Return arguments, or a text, with the values in place of their names."""
    match value:
        case dict():
            return {key: named(item, names) for key, item in value.items()}
        case list():
            return [named(item, names) for item in value]
        case _:
            return value.format_map(names)
