"""AWS's own Python clients, both directions, and the vectors of everybody else's."""

from __future__ import annotations

import hashlib
import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import boto3
import pytest

import claim_check
from claim_check import Dereferencer, Pointer, Store
from claim_check.wire.pointer import FORMS
from local.environment import ROOT

VECTORS = {
    path.stem: json.loads(path.read_text()) for path in sorted((Path(__file__).parent / "vectors").glob("*.json"))
}

INLINE = hashlib.sha256(b"small").hexdigest()
V1 = '["com.amazon.sqs.javamessaging.MessageS3Pointer", {"s3BucketName": "payloads-one", "s3Key": "'
V2 = '["software.amazon.payloadoffloading.PayloadS3Pointer", {"s3BucketName": "payloads-one", "s3Key": "'


@pytest.fixture(scope="module")
def heard() -> dict[str, Any]:
    environment = os.environ | {
        "PYTHONPATH": os.pathsep.join([str(ROOT), str(ROOT / "lambdas")]),
        "AWS_DEFAULT_REGION": "us-east-1",
        "AWS_ACCESS_KEY_ID": "test",
        "AWS_SECRET_ACCESS_KEY": "test",
    }
    command = [sys.executable, "-m", "tests.interop.conversation"]
    done = subprocess.run(command, cwd=ROOT, env=environment, capture_output=True, text=True, timeout=300, check=False)
    assert done.returncode == 0, done.stderr
    result: dict[str, Any] = json.loads(done.stdout)
    return result


@pytest.mark.parametrize(
    ("way", "begins"),
    [
        ("sns raw", V2),
        ("sns raw, legacy", V1),
        ("sns enveloped", None),
        ("sns enveloped, legacy", None),
        ("sqs", V2),
        ("sqs, legacy", V1),
    ],
)
def test_payload_offloaded_by_aws_client_is_dereferenced(way: str, begins: str | None, heard: dict[str, Any]) -> None:
    message = heard[way]
    assert message["offloaded"]
    assert message["payload"] == heard["sent"]
    assert message["attributes"] == {"kind": ["String", "scan"]}
    if begins:  # byte for byte what the vectors G4 and G5 say
        assert message["body"].startswith(begins)
        assert len(message["body"]) == len(begins) + 36 + len('"}]')


def test_inline_message_of_aws_client_is_inline(heard: dict[str, Any]) -> None:
    assert (heard["sns inline"]["offloaded"], heard["sns inline"]["payload"]) == (False, INLINE)


@pytest.mark.parametrize("way", ["to sqs", "to sqs, legacy"])
def test_aws_client_dereferences_offloaded_payload(way: str, heard: dict[str, Any]) -> None:
    message = heard[way]
    assert message["payload"] == heard["sent"]
    assert message["attributes"] == ["ClaimCheck", "kind"]
    assert message["offloaded"]
    assert message["read_again"][1:] == [heard["sent"], heard["sent"]]


@pytest.mark.parametrize("form", FORMS)
def test_aws_client_reads_each_form_from_a_queue(form: str, heard: dict[str, Any]) -> None:
    assert heard["forms"][form] == {"payload": heard["sent"], "is_pointer": False}


def test_aws_client_does_not_expand_or_hide_compression(heard: dict[str, Any]) -> None:
    """Its user gets the pointer, and not compressed bytes in place of the payload."""
    assert heard["compressed"]["is_pointer"]


def test_aws_client_receives_inline_payload(heard: dict[str, Any]) -> None:
    message = heard["to sqs inline"]
    assert (message["payload"], message["offloaded"]) == (INLINE, False)


@pytest.mark.parametrize(("clean_up", "left"), [("off", False), ("on", True)])
def test_aws_client_deletes_messages_without_clean_up(clean_up: str, left: bool, heard: dict[str, Any]) -> None:
    """With its clean-up, which Java and Go clients have by default, each message is received until it is dead."""
    assert heard[f"clean-up {clean_up}"] == {"message": left, "payload": True}


def test_library_works_with_replaced_boto3_session(heard: dict[str, Any]) -> None:
    assert heard["beside"] == {"binary": "00ff", "replaced": True}


def test_import_replaces_nothing() -> None:
    assert claim_check.__name__ in sys.modules
    assert boto3.Session is boto3.session.Session
    assert boto3.Session.__module__ == "boto3.session"


@pytest.fixture
def dereferencer() -> Dereferencer:
    client = boto3.client("s3", region_name="eu-west-1", aws_access_key_id="test", aws_secret_access_key="test")
    stores = [Store(bucket, "", "111111111111", "eu-west-1") for bucket in ("payloads-one", "test-bucket")]
    return Dereferencer(stores=stores, s3=client)


@pytest.mark.parametrize("name", [name for name, vector in VECTORS.items() if "expected" in vector])
def test_vector_is_read(name: str, dereferencer: Dereferencer) -> None:
    vector = VECTORS[name]
    expected = vector["expected"]
    message = dereferencer.message(vector["record"])
    assert message.pointer == Pointer(expected["bucket"], expected["key"])
    assert message.size == expected["size"]
    assert message.attributes == {}


@pytest.mark.parametrize("name", [name for name, vector in VECTORS.items() if vector.get("written_by_us")])
def test_vector_is_the_written_form(name: str) -> None:
    vector = VECTORS[name]
    expected = vector["expected"]
    assert Pointer(expected["bucket"], expected["key"]).body() == vector["record"]["Body"]


@pytest.mark.parametrize(
    "name", [name for name, vector in VECTORS.items() if "refused" in vector or "inline" in vector]
)
def test_vector_of_another_family_is_not_a_pointer(name: str, dereferencer: Dereferencer) -> None:
    vector = VECTORS[name]
    (outcome,) = dereferencer.outcomes([vector["record"]])
    if "refused" in vector:
        assert type(outcome.error).__name__ == vector["refused"]
    else:
        assert outcome.message
        assert outcome.message.payload.text() == vector["inline"]


def test_all_forms_have_a_vector_with_a_source() -> None:
    forms = {vector["form"] for vector in VECTORS.values()}
    assert {f"G{number}" for number in range(1, 8)} <= forms
    assert all(vector["source"] and vector["writer"] for vector in VECTORS.values())
