"""Of more than 10,000 leads Close lists no ids; of fewer, they are compared with the backup however large that is."""

from datetime import UTC, datetime

import pytest
from support.close_account import CloseAccount, lead

from tasks.bulk_delete.start import matching_leads
from tasks.close.query.nodes import to_json
from tasks.criteria.selection import LEADS
from tasks.ledger.record import BackupTaken
from tasks.plan.model import Counts, Plan
from tasks.runs.connect import connect


@pytest.mark.parametrize(("in_backup", "known"), [(None, False), (3, True), (10_200, True)])
def test_the_ids_are_known_where_there_is_a_backup(sandbox: CloseAccount, in_backup: int | None, known: bool) -> None:
    ids = set(sandbox.add(lead("A"), lead("B")))
    now = datetime.now(UTC)
    counts = Counts(total=2, matched=2, kept={"total": 0}, planned=2)
    facts = {"organization": "", "user_id": "", "as_of": now, "counts": counts}
    plan = Plan.of(to_json(LEADS), organization_id=sandbox.organization_id(), **facts)
    backup = BackupTaken(url="", leads=in_backup, keep_until=now) if in_backup else None

    with connect() as close:
        assert matching_leads(close, plan, backup) == (2, ids if known else None)
