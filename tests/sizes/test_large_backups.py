"""A backup takes as much memory for two hundred thousand leads as for two: it is written while it is read."""

from pathlib import Path

import pytest
from bench.backups import ALLOWED, FEW, serving_exports, write_export
from bench.child import child
from bench.places import ROOT

pytestmark = [pytest.mark.exhaustive, pytest.mark.timeout(1800)]

LEADS = 200_000


def test_two_hundred_thousand_leads_take_no_more_memory_than_a_few(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Measured in a process of its own: the growth of its peak, after a backup of a hundred leads."""
    monkeypatch.setenv("PYTHONPATH", str(ROOT / "tests"))
    for leads in (FEW, LEADS):
        write_export(tmp_path / f"{leads}.json.gz", leads)

    with serving_exports(tmp_path) as url:
        taken = child("bench.backups:back_up", url, str(tmp_path / "backups"), LEADS, log=tmp_path / "log")

    assert taken["growth"] < ALLOWED
