"""Other users of the machine, who have fewer rights than root."""

import os

import pytest

NOBODY = 65_534


def require_root() -> None:
    if os.geteuid() != 0:
        pytest.skip("being another user takes root")


def become(user: int = NOBODY, group: int = NOBODY) -> None:
    """Give up this process's rights for good; what it still imports that user must be able to read."""
    os.setgroups([])
    os.setgid(group)
    os.setuid(user)
