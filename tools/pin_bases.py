"""Write the digests of the base images into research/image/bases.toml.

    python tools/pin_bases.py

It asks the registry of each image, without Docker and without credentials.
"""

from __future__ import annotations

import json
import re
import sys
import urllib.error
import urllib.request
from pathlib import Path
from urllib.parse import urlencode, urlsplit

from stacks.deployment.base_images import BASES, base_images

MANIFESTS = (
    "application/vnd.oci.image.index.v1+json",
    "application/vnd.docker.distribution.manifest.list.v2+json",
    "application/vnd.oci.image.manifest.v1+json",
    "application/vnd.docker.distribution.manifest.v2+json",
)
DOCKER_HUB = "registry-1.docker.io"
"""The registry of names without a host."""


_OPENER = urllib.request.build_opener()


class NoDigest(Exception):
    """A registry did not report the digest of an image."""


def digest(image: str, *, scheme: str = "https") -> str:
    """Return the digest of `host/name:tag` (`sha256:…`).

    Raises:
        NoDigest: The registry has no such image, or cannot be reached.
    """
    host, name, tag = _parts(image)
    url = f"{scheme}://{host}/v2/{name}/manifests/{tag}"
    try:
        found = _head(url)
    except urllib.error.HTTPError as error:
        raise NoDigest(f"{image}: {error}. Check its name and tag in {BASES}.") from error
    except (OSError, ValueError) as error:
        raise NoDigest(
            f"{image}: {host} cannot be reached: {error}. Run this on a machine that reaches it, or set HTTPS_PROXY. "
            f"Or write the digest into {BASES}: `docker buildx imagetools inspect {image}` prints it."
        ) from error
    if not re.fullmatch("sha256:[0-9a-f]{64}", found):
        raise NoDigest(f"{image}: the registry reported {found!r} instead of a digest.")
    return found


def _parts(image: str) -> tuple[str, str, str]:
    """Return host, name and tag."""
    name, _, tag = image.rpartition(":")
    host, slash, rest = name.partition("/")
    return (host, rest, tag) if slash and re.search(r"[.:]|^localhost$", host) else (DOCKER_HUB, name, tag)


def _head(url: str, token: str = "") -> str:
    """Return the digest in the response's head. A registry requires a token, which it issues to anybody."""
    headers = {"Accept": ", ".join(MANIFESTS), **({"Authorization": f"Bearer {token}"} if token else {})}
    try:
        request = urllib.request.Request(url, headers=headers, method="HEAD")  # noqa: S310, the caller chose the scheme
        with _OPENER.open(request, timeout=30) as response:
            return str(response.headers.get("Docker-Content-Digest", ""))
    except urllib.error.HTTPError as error:
        challenge = error.headers.get("WWW-Authenticate", "")
        if error.code != 401 or token or not challenge.startswith("Bearer "):
            raise
    return _head(url, _token(challenge, urlsplit(url).scheme))


def _token(challenge: str, scheme: str) -> str:
    fields = dict(re.findall(r'(\w+)="([^"]*)"', challenge))
    realm = fields.pop("realm")
    if urlsplit(realm).scheme != scheme:
        raise ValueError(f"the registry's address for tokens is {realm}")
    with _OPENER.open(f"{realm}?{urlencode(fields)}", timeout=30) as response:
        body = json.load(response)
    return str(body.get("token") or body["access_token"])


def pin(file: Path = BASES, *, scheme: str = "https") -> list[str]:
    """Write the digests into the file, and return a line for each image. Comments remain.

    Raises:
        NoDigest: See `digest`. The digests that were found before are in the file.
    """
    lines = []
    for name, base in base_images(file).items():
        found = digest(base.image, scheme=scheme)
        table = re.compile(rf'(^\[{name}\].*?^digest = )"[^"]*"', re.MULTILINE | re.DOTALL)
        file.write_text(table.sub(rf'\g<1>"{found}"', file.read_text()))
        lines.append(f"{base.image} {found}{'' if base.digest in ('', found) else f', before {base.digest}'}")
    return lines


if __name__ == "__main__":
    try:
        print("\n".join(pin()))
    except NoDigest as failure:
        sys.exit(str(failure))
