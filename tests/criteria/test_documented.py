"""Each example on the page of criteria selects what its comment says: some leads of an organisation, and not all."""

from collections.abc import Iterator
from datetime import UTC, datetime
from typing import Any, cast

import pytest
import yaml
from support.close_account import CloseAccount, lead
from support.pages import Page

from deployments.sandbox.organization import STATUSES
from tasks.close.client import CloseClient
from tasks.close.query.nodes import to_json
from tasks.close.settings import CloseSettings
from tasks.criteria.policy import Keep, Match
from tasks.criteria.selection import Criteria, Selection
from tasks.plan.account import Needed

MATCH, KEEP = (
    cast("dict[str, Any]", yaml.safe_load(block)[part])
    for part, block in zip(("match", "keep"), Page("docs/criteria.md").blocks("yaml"), strict=True)
)
NOTHING = {name: False for name, field in Keep.model_fields.items() if field.default}
LEADS = 300


@pytest.fixture
def close(sandbox: CloseAccount) -> Iterator[CloseClient]:
    """The organisation that is made up, with what only the examples name."""
    sandbox.reset(leads=LEADS)
    contact = {"name": "Ann", "emails": [{"email": "ann@example.com", "type": "office"}]}
    sandbox.add(
        lead("Landlord", id="lead_of_our_landlord", contacts=[contact] * 3), lead("Bank", id="lead_of_our_bank")
    )
    with CloseClient(CloseSettings()) as client:
        yield client


def select(close: CloseClient, match: Match, keep: Keep) -> Selection:
    needed = Needed.by(match, keep, None)
    return Criteria(match, keep, datetime.now(UTC), "UTC").select(needed.read(close, close.lead_statuses()))


@pytest.mark.parametrize("name", MATCH)
def test_an_example_of_match_selects_some_leads(close: CloseClient, name: str) -> None:
    selection = select(close, Match.model_validate({name: MATCH[name]}), Keep.model_validate(NOTHING))
    assert 0 < close.count(to_json(selection.planned())) < LEADS


@pytest.mark.parametrize("name", KEEP)
def test_an_example_of_keep_protects_some_leads(close: CloseClient, name: str) -> None:
    everything = Match(status=[*STATUSES])
    selection = select(close, everything, Keep.model_validate({**NOTHING, name: KEEP[name]}))
    of_all = select(close, everything, Keep.model_validate(NOTHING))
    kept, planned, matched = (
        close.count(to_json(each)) for each in (selection.kept(name), selection.planned(), of_all.planned())
    )
    assert 0 < kept < matched
    assert kept + planned == matched
