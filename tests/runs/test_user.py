"""Who is at the machine, also where that user has no name."""

import os
import pwd

import pytest

from tasks.runs.user import user


@pytest.fixture
def nameless(monkeypatch: pytest.MonkeyPatch) -> None:
    """In a container that runs as a number."""

    def unknown(uid: int) -> None:
        raise KeyError(f"getpwuid(): uid not found: {uid}")

    monkeypatch.setattr(pwd, "getpwuid", unknown)
    for name in ("LOGNAME", "USER", "LNAME", "USERNAME"):
        monkeypatch.delenv(name, raising=False)


def test_a_user_has_a_name(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("LOGNAME", "ann")

    assert user() == "ann"


def test_a_user_without_a_name_is_a_number(nameless: None) -> None:
    assert user() == f"uid {os.getuid()}"
