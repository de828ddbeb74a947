"""Proof of life: a lock that a process holds, on a machine and in a boot that are told apart."""

import fcntl
import os
from pathlib import Path

import pytest

from tasks.runs.alive import Process, is_gone

HERE = Process("venus", "machine", "boot")


@pytest.fixture
def lock(tmp_path: Path) -> Path:
    """The file that a process locks."""
    file = tmp_path / "lock"
    file.touch()
    return file


def test_a_process_of_this_boot_lives_while_it_holds_its_lock(lock: Path) -> None:
    process = HERE._replace(lock=str(lock))
    handle = os.open(lock, os.O_RDWR)
    fcntl.flock(handle, fcntl.LOCK_EX)

    assert is_gone(process, HERE) is False
    os.close(handle)
    assert is_gone(process, HERE) is True


def test_without_its_lock_nothing_is_known_of_a_process(lock: Path) -> None:
    """Somebody deleted the file; or it was never there, as on a file system without locks."""
    for missing in ("", str(lock.with_name("missing"))):
        assert is_gone(HERE._replace(lock=missing), HERE) is None


def test_another_boot_of_this_machine_is_the_end_of_all_its_processes(lock: Path) -> None:
    """Also where its file is on a disk that other machines share."""
    for each in (str(lock), "", "/nowhere"):
        assert is_gone(Process("venus", "machine", "an earlier boot", each), HERE) is True


def test_of_another_machine_nothing_is_known(lock: Path) -> None:
    """Although its lock looks free here, as on a shared disk."""
    assert is_gone(Process("mars", "another", "another boot", str(lock)), HERE) is None


def test_of_a_container_only_its_lock_is_known(lock: Path) -> None:
    """The name and the id of its machine may be those of its image: another one like it may be another container."""
    contained = Process("pod-0", "", "another boot", str(lock))

    assert is_gone(contained, HERE) is None
    assert is_gone(contained, HERE._replace(machine="")) is None
    assert is_gone(contained, HERE._replace(machine="", boot="another boot")) is True


def test_this_machine_is_itself_and_labels_keep_it() -> None:
    here = Process.here()

    assert here == Process.here()
    assert here.boot
    assert set(here.labels) == {"process.host", "process.machine", "process.boot", "process.lock"}
