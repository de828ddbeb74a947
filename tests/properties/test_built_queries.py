"""Whatever the typed criteria: the query never means everything, can be read back, and is one we would accept."""

from datetime import timedelta

from hypothesis import given, settings
from properties.organisations import AS_OF, NAMES, Lead, keeps, matches
from properties.plain_reader import meets

from deployments.sandbox.organization import MANAGER_ID, SCORE_ID, SOURCE_ID
from tasks.close.query.check import check
from tasks.close.query.nodes import Query, parse, to_json, unknown_parts
from tasks.close.query.rewrite import always, canonical
from tasks.criteria.policy import Keep, Match
from tasks.criteria.selection import Criteria, Selection

JUST_NOW = (AS_OF - timedelta(milliseconds=1)).isoformat()
UNTOUCHABLE: Lead = {
    "id": "lead_untouchable",
    "name": "Zaunkönig",
    "status_id": "stat_of_its_own",
    "date_created": JUST_NOW,
    "date_updated": JUST_NOW,
    "last_communication_date": JUST_NOW,
    "contacts": [
        {
            "date_created": JUST_NOW,
            "emails": [{"email": "zoe@zaun.koenig"}],
            "phones": [{"phone": "+4912345678"}],
        }
    ],
    "opportunities": [],
    "sequence_subscriptions": [],
    "num_upcoming_meetings": 0,
    "num_incomplete_tasks": 0,
    f"custom.{SOURCE_ID}": "Nowhere",
    f"custom.{SCORE_ID}": -1,
    f"custom.{MANAGER_ID}": "user_zoe",
}
"""A lead that meets no criterion there is, and that nothing but its age protects."""


def queries(selection: Selection) -> list[Query]:
    found = [selection.matched(), selection.planned(), selection.cut(AS_OF).planned()]
    return found + [selection.kept(rule) for rule in selection.keep] + ([selection.kept()] if selection.keep else [])


@settings(max_examples=200)
@given(match=matches, keep=keeps)
def test_no_criteria_ever_select_everything(match: Match, keep: Keep):
    """An empty selection has meant "all" elsewhere: here even a single lead that meets nothing must stay."""
    selection = Criteria(match, keep, AS_OF).select(NAMES)

    for query in queries(selection):
        assert always(query) is None
        assert not meets(to_json(query), UNTOUCHABLE)
    for clause in selection.match:
        assert always(clause) is None
        assert not meets(to_json(clause), UNTOUCHABLE)


@settings(max_examples=100)
@given(match=matches, keep=keeps)
def test_what_is_built_reads_back_and_would_be_accepted(match: Match, keep: Keep):
    for query in queries(Criteria(match, keep, AS_OF).select(NAMES)):
        document = to_json(query)

        assert to_json(parse(document)) == document
        assert canonical(document) == canonical(query)
        assert unknown_parts(parse(document)) == []
        check(query)
