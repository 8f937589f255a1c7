"""Upload and download, on moto."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import boto3
import pytest
from moto import mock_aws

from research.transfer import NoSuchData, copy, fetch, locate, split, upload

KEY = "arn:aws:kms:us-east-1:555555555555:key/1"


@pytest.fixture
def s3(monkeypatch: pytest.MonkeyPatch) -> Iterator[Any]:
    """A client of moto, with the bucket `data`."""
    monkeypatch.delenv("AWS_CA_BUNDLE", raising=False)
    with mock_aws():
        client = boto3.client("s3", region_name="us-east-1")
        client.create_bucket(Bucket="data")
        yield client


@pytest.mark.parametrize("key", ["some/prefix", "run #1/a?b.h5", ""])
def test_uri_is_split_into_bucket_and_prefix(key: str) -> None:
    assert split(f"s3://bucket/{key}/") == ("bucket", key)


@pytest.mark.parametrize(
    ("uri", "address", "alone"),
    [
        ("s3://data/runs/donor1", "s3://data/runs/donor1/", True),
        ("s3://data/runs/donor1/", "s3://data/runs/donor1/", True),
        ("s3://data/runs/donor10/b.h5", "s3://data/runs/donor10/b.h5", True),
        ("s3://data/runs/donor1/a.h5", "s3://data/runs/donor1/a.h5", False),
        ("s3://data", "s3://data/", True),
    ],
)
def test_address_is_of_an_object_or_a_folder_alone(s3: Any, uri: str, address: str, alone: bool) -> None:
    """A neighbour is an object whose key begins with the address: of another donor, or a.h5ad beside a.h5."""
    for name in ("donor1/a.h5", "donor1/a.h5ad", "donor10/b.h5"):
        s3.put_object(Bucket="data", Key=f"runs/{name}", Body=b"")
    assert locate(s3, uri) == (address, alone)


@pytest.mark.parametrize("uri", ["s3://data/runs/donor", "s3://data/runs/donor/", "s3://data/runs/donor10/b"])
def test_address_without_data_is_refused_with_its_neighbours(s3: Any, uri: str) -> None:
    s3.put_object(Bucket="data", Key="runs/donor10/b.h5", Body=b"")
    with pytest.raises(NoSuchData, match=r"no such object or folder\. Keys that begin so: runs/donor10/b\.h5"):
        locate(s3, uri)


def test_object_is_copied_encrypted(s3: Any) -> None:
    s3.put_object(Bucket="data", Key="runs/a.h5", Body=b"cells")
    copy(s3, "s3://data/runs/a.h5", "s3://data/job/data", key=KEY)
    stored = s3.get_object(Bucket="data", Key="job/data/a.h5")
    assert (stored["Body"].read(), stored["SSEKMSKeyId"]) == (b"cells", KEY)


def test_file_or_folder_is_uploaded_encrypted(s3: Any, tmp_path: Path) -> None:
    run = tmp_path / "run"
    (run / "below").mkdir(parents=True)
    for name in ("matrix.mtx.gz", "below/barcodes.tsv.gz"):
        (run / name).write_text(name)
    lines: list[str] = []
    for source in (run, run / "matrix.mtx.gz"):
        upload(s3, source, "s3://data/job/input", key=KEY, report=lines.append)
    for key, body in {
        "run/matrix.mtx.gz": b"matrix.mtx.gz",
        "run/below/barcodes.tsv.gz": b"below/barcodes.tsv.gz",
        "matrix.mtx.gz": b"matrix.mtx.gz",
    }.items():
        stored = s3.get_object(Bucket="data", Key=f"job/input/{key}")
        assert stored["Body"].read() == body
        assert stored["SSEKMSKeyId"] == KEY
    assert "Uploading run: 34 B of 34 B" in lines


def test_results_are_downloaded_below_the_target(s3: Any, tmp_path: Path) -> None:
    for name in ("qc_metrics.csv", "plots/qc.png", "plots/", "../escape"):
        s3.put_object(Bucket="data", Key=f"job/output/{name}", Body=name.encode())
    s3.put_object(Bucket="data", Key="job/output-of-another/x", Body=b"")
    job = {"ProcessingOutputConfig": {"Outputs": [{"S3Output": {"S3Uri": "s3://data/job/output"}}]}}
    files = fetch(s3, job, tmp_path / "results")
    assert sorted(str(file.relative_to(tmp_path / "results")) for file in files) == ["plots/qc.png", "qc_metrics.csv"]
    assert sorted(path for path in tmp_path.rglob("*") if path.is_file()) == sorted(files)
