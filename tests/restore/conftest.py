"""Leads with everything attached, a backup of them as a cleanup makes it, and a way to bring them back."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from restore.backups import BackUp, make_backup
from support.close_account import CloseAccount


@pytest.fixture
def back_up(sandbox: CloseAccount, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> BackUp:
    """Makes a backup of all leads, or of those with these ids, and gives its folder."""
    monkeypatch.setenv("CLOSE_BACKUP_URL", str(tmp_path / "backups"))

    def back_up(*ids: str, **manifest: Any) -> Path:
        return make_backup(sandbox, tmp_path / "backups", ids, **manifest)

    return back_up


@pytest.fixture
def restore(prefect_server: str) -> Callable[..., Any]:
    """Runs the flow in this process, and gives its report."""
    from flows.restore_leads import restore_leads
    from tasks.report.ending import report_of

    def run(backup: object, **parameters: Any) -> Any:
        return report_of(restore_leads(str(backup), **parameters, return_state=True))

    return run
