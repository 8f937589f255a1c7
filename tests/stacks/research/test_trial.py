"""The example for a trial: no build, no endpoint that is paid for, nothing that remains."""

from tests.stacks.research.environments import load_example


def test_trial_builds_nothing_and_leaves_nothing() -> None:
    trial = load_example("research-trial.toml")
    assert trial.ephemeral
    assert (trial.research.auth, trial.research.network) == ("iam", "internet")
    assert not any((trial.research.images, trial.research.budget, trial.research.workstation))
    assert len(trial.research.users) == 2
