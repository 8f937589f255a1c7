"""The random choice of faults."""

from tests.faults.faults import FAULTS, FaultPicker


def _picks(seed: int, rate: float) -> list[str | None]:
    picker = FaultPicker(seed=seed, rate=rate, faults=FAULTS)
    faults = [picker.pick("s3", f"PUT /{number}".encode()) for number in range(4000)]
    return [fault.name if fault else None for fault in faults]


def test_picks_depend_on_the_seed() -> None:
    assert _picks(1, 0.2) == _picks(1, 0.2)
    assert _picks(1, 0.2) != _picks(2, 0.2)


def test_share_of_failed_requests_is_the_rate() -> None:
    failed = [name for name in _picks(1, 0.2) if name]
    assert 0.18 < len(failed) / 4000 < 0.22
    assert set(failed) == {fault.name for fault in FAULTS if fault.applies_to("s3")}
    assert not any(_picks(1, 0.0))


def test_picks_do_not_depend_on_the_order_of_requests() -> None:
    contents = [f"PUT /{number}".encode() for number in range(200)]
    forward, backward = (FaultPicker(seed=1, rate=0.3, faults=FAULTS) for _ in range(2))
    assert {c: forward.pick("s3", c) for c in contents} == {c: backward.pick("s3", c) for c in reversed(contents)}


def test_some_faults_last_longer_than_retries() -> None:
    picker = FaultPicker(seed=1, rate=0.5, faults=FAULTS)
    sequences = [[picker.pick("s3", f"PUT /{number}".encode()) for _ in range(60)] for number in range(300)]
    lasting = [sequence for sequence in sequences if all(sequence)]
    assert 0 < len(lasting) < 15
    assert all(len(set(sequence)) == 1 for sequence in lasting)


def test_fault_applies_to_its_service_alone() -> None:
    picker = FaultPicker(seed=1, rate=1.0, faults=[fault for fault in FAULTS if fault.services == {"sqs"}])
    assert picker.pick("s3", b"") is None
    assert picker.pick("sqs", b"") is not None
