"""The dice: the same again with the same seed, as often as they are told."""

from tests.faults.faults import FAULTS, Dice


def thrown(seed: int, rate: float, count: int = 4000) -> list[str | None]:
    dice = Dice(seed=seed, rate=rate, faults=FAULTS)
    faults = [dice.throw("s3", f"PUT /{number}".encode()) for number in range(count)]
    return [fault.name if fault else None for fault in faults]


def test_the_same_seed_throws_the_same_and_another_does_not() -> None:
    assert thrown(1, 0.2) == thrown(1, 0.2)
    assert thrown(1, 0.2) != thrown(2, 0.2)


def test_as_many_fail_as_are_told_to() -> None:
    failed = [name for name in thrown(1, 0.2) if name]
    assert 0.18 < len(failed) / 4000 < 0.22
    assert set(failed) == {fault.name for fault in FAULTS if fault.concerns("s3")}
    assert not any(thrown(1, 0.0))


def test_the_order_of_requests_changes_nothing() -> None:
    contents = [f"PUT /{number}".encode() for number in range(200)]
    dice, again = (Dice(seed=1, rate=0.3, faults=FAULTS) for _ in range(2))
    assert {c: dice.throw("s3", c) for c in contents} == {c: again.throw("s3", c) for c in reversed(contents)}


def test_some_requests_fail_for_longer_than_a_client_tries() -> None:
    dice = Dice(seed=1, rate=0.5, faults=FAULTS)
    runs = [[dice.throw("s3", f"PUT /{number}".encode()) for _ in range(60)] for number in range(300)]
    lasting = [run for run in runs if all(run)]
    assert 0 < len(lasting) < 15
    assert all(len(set(run)) == 1 for run in lasting)


def test_a_service_meets_its_own_faults_and_those_of_connections() -> None:
    dice = Dice(seed=1, rate=1.0, faults=[fault for fault in FAULTS if fault.services == {"sqs"}])
    assert dice.throw("s3", b"") is None
    assert dice.throw("sqs", b"") is not None
