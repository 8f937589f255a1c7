"""Checks of `[platform]` with the places of the deployment: access logs, and networks of functions."""

from __future__ import annotations

import re
from collections.abc import Collection, Iterator

from stacks.deployment.model import Deployment, ResearchDeployment
from stacks.deployment.names import Names, Place, ResearchNames
from stacks.deployment.platform import PlatformConfig
from stacks.deployment.problems import Problem

_BUCKET = re.compile(r"(?!.*\.\.)[a-z0-9][a-z0-9.-]{1,61}[a-z0-9]")


def check(deployment: Deployment | ResearchDeployment) -> Iterator[Problem]:
    """Yield the problems of `[platform]`."""
    yield from _check_access_logs(deployment.platform, _buckets(deployment))
    yield from _check_networks(deployment.platform, function_places(deployment))


def function_places(deployment: Deployment | ResearchDeployment) -> set[Place]:
    """Return the accounts and Regions of functions."""
    return {*_buckets(deployment), *_consumers(deployment)}


def _buckets(deployment: Deployment | ResearchDeployment) -> list[Place]:
    """Return the accounts and Regions of buckets. They have functions too: an ephemeral deployment empties buckets."""
    places = [ResearchNames(deployment.name, deployment.research).place] if deployment.research else []
    if isinstance(deployment, Deployment):
        names = Names(deployment)
        places += [bucket.place for bucket in (names.publisher.payload_bucket, *names.publisher.replicas.values())]
        places += [
            names.subscribers[subscriber.name].place
            for subscriber in deployment.subscribers
            if subscriber.kind != "https" and subscriber.hands_off
        ]
    return places


def _consumers(deployment: Deployment | ResearchDeployment) -> list[Place]:
    names = Names(deployment).subscribers.values() if isinstance(deployment, Deployment) else ()
    return [each.place for each in names if each.has_consume_function]


def _check_access_logs(platform: PlatformConfig, buckets: Collection[Place]) -> Iterator[Problem]:
    """Check that each account and Region has its own bucket: S3 writes access logs to no other."""
    pattern = platform.access_log_bucket
    if not pattern:
        return
    places: dict[str, set[Place]] = {}
    for place in buckets:
        places.setdefault(pattern.format(account=place.account, region=place.region), set()).add(place)
    for name, logged in places.items():
        if not _BUCKET.fullmatch(name):
            text = f'makes "{name}", which is not the name of a bucket. Use 3 to 63 letters, digits, hyphens and dots.'
            yield Problem("platform.access_log_bucket", pattern, text)
        if len(logged) > 1:
            where = ", ".join(sorted(f"{place.account} {place.region}" for place in logged))
            text = f"is one bucket for {where}, and S3 writes access logs in one account and Region only."
            yield Problem("platform.access_log_bucket", pattern, f"{text} Add {{account}} and {{region}}.")


def _check_networks(platform: PlatformConfig, functions: Collection[Place]) -> Iterator[Problem]:
    seen: dict[Place, str] = {}
    for index, network in enumerate(platform.networks):
        key, place = f"platform.networks[{index}]", Place(network.account, network.region)
        if place in seen:
            text = f"is also the account of {seen[place]}, in the same Region. Remove one of the two tables."
            yield Problem(f"{key}.account", network.account, text)
        elif place not in functions:
            text = f"no function of the deployment is there, in {network.region}. Correct or remove the table."
            yield Problem(f"{key}.account", network.account, text)
        seen.setdefault(place, key)
