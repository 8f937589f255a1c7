"""Files that the scenario sends."""

from pathlib import Path

from cli.scenario.payloads import generated_file, installed_file, read_file


def test_generated_file_is_described_and_deleted(tmp_path: Path) -> None:
    with generated_file(2**20 + 1, tmp_path) as payload:
        assert read_file(payload.path) == payload
        assert payload.bytes == 2**20 + 1
    assert not payload.path.exists()


def test_installed_file_needs_several_parts() -> None:
    assert installed_file().bytes > 10 * 2**20
