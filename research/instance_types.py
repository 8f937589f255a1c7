"""Instance types of SageMaker that have local storage."""

LOCAL_STORAGE = frozenset(
    {
        *("c5d", "c6id", "m5d", "m5dn", "m6id", "m6idn", "r5d", "r5dn", "r6id"),
        *("g4dn", "g5", "g6", "g6e", "g7", "g7e", "gr6"),
        *("p3dn", "p4d", "p4de", "p5", "p5e", "p5en", "p6-b200", "trn1", "trn1n"),
    }
)
"""Families whose instances have local disks, which the hardware encrypts. SageMaker rejects a job on them that names a
key for its volume."""


def has_local_storage(instance_type: str) -> bool:
    """Return whether instances of a type such as `ml.g5.xlarge` have local storage."""
    return family(instance_type) in LOCAL_STORAGE


def family(instance_type: str) -> str:
    """Return `g5` for `ml.g5.xlarge`."""
    return instance_type.split(".")[1]
