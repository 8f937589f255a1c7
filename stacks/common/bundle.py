"""The code asset of a Lambda function: its packages of `lambdas/`, and Powertools.

Powertools and its dependencies are pure Python and copied from this installation, so that synthesis needs no network
and no Docker. Of `lambdas/`, an asset has only the function's packages. So an edit of one handler changes no other
function's hash.
"""

import atexit
import hashlib
from functools import cache
from pathlib import Path
from tempfile import TemporaryDirectory
from zipfile import ZIP_DEFLATED, ZipFile, ZipInfo

from aws_cdk import aws_lambda as lambda_

from stacks.common.own_code import own_code_files
from stacks.deployment.function_files import function_files


def bundle(*packages: str, own_code: Path | None = None) -> lambda_.Code:
    """Return the code of a function that uses these packages of `lambdas/`, and a folder of own code.

    It is a zip file: CDK copies one file instead of the 400 files of a folder. It always has the code, also when the
    CDK CLI only lists stacks: a pipeline can deploy every assembly.
    """
    folder, digest = _zipped(packages, own_code)
    return lambda_.Code.from_asset(str(Path(folder.name) / _ZIP), asset_hash=digest)


_ZIP = "code.zip"


@cache
def _zipped(packages: tuple[str, ...], own_code: Path | None = None) -> tuple[TemporaryDirectory[str], str]:
    """Return a folder with the zip file, and the digest of its content.

    The folder exists until this process ends. The digest of the zip file itself would depend on the version of zlib.
    """
    folder = TemporaryDirectory(prefix="coatcheck-bundle-")
    atexit.register(folder.cleanup)
    content = {name: path.read_bytes() for name, path in function_files(packages)}
    content |= own_code_files(own_code) if own_code else {}
    digest = hashlib.sha256()
    with ZipFile(Path(folder.name) / _ZIP, "w", ZIP_DEFLATED) as archive:
        for name in sorted(content):
            digest.update(f"{name}\0{len(content[name])}\0".encode() + content[name])
            member = ZipInfo(name)  # always dated 1980
            member.external_attr = 0o644 << 16  # readable by the function's user
            archive.writestr(member, content[name], ZIP_DEFLATED)
    return folder, digest.hexdigest()
