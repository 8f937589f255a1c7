"""The program in the emulator's process."""

import pytest

from local.emulator_process import MINISTACK_VERSION, check_version


def test_ministack_of_another_version_is_rejected() -> None:
    check_version(MINISTACK_VERSION)

    with pytest.raises(SystemExit, match=rf"ministack 9\.9\.9 is installed(.|\n)*ministack=={MINISTACK_VERSION}"):
        check_version("9.9.9")
