"""Random organisations in the sandbox: our queries, in its SQL, select what the criteria promise to people."""

from collections.abc import Iterator
from typing import Any

import httpx
import pytest
from hypothesis import HealthCheck, Phase, event, given, settings
from hypothesis import strategies as st
from properties.organisations import (
    AS_OF,
    DOMAINS,
    IDS,
    NAMES,
    NOTHING,
    SCORES,
    SOURCES,
    STATUSES,
    WORDS,
    Lead,
    instants,
    is_kept,
    is_matched,
    is_planned,
    keeps,
    leads,
    matches,
)
from pydantic import SecretStr
from support.close_account import ADMIN, CloseAccount

from deployments.sandbox.organization import MANAGER_ID, SCORE_ID, SOURCE_ID, STATUS_IDS, USER
from tasks.close.client import CloseClient
from tasks.close.query.nodes import And, ObjectType, Query, parse, to_json
from tasks.close.query.rewrite import asserted, denied
from tasks.close.settings import CloseSettings
from tasks.criteria.policy import Keep, Match
from tasks.criteria.selection import Criteria

Json = dict[str, Any]
LEADS = ObjectType(object_type="lead")
# Without shrinking: each step asks a server, and the examples are small enough to read.
FAST = settings(
    max_examples=25,
    phases=[Phase.explicit, Phase.generate],
    suppress_health_check=[HealthCheck.too_slow, HealthCheck.data_too_large],
)


class Organisation:
    """The sandbox, filled anew for each example, and searched through our own client."""

    def __init__(self, account: CloseAccount, close: CloseClient) -> None:
        self._account = account
        self._close = close
        self._empty_matches = True
        account.reset()

    def holds(self, people: list[Lead], *, empty_matches: bool = True) -> None:
        """Exactly these leads; and whether a negated condition matches one whose field is empty."""
        httpx.post(f"{self._account.base}/sandbox/reset", json={"leads": 0}).raise_for_status()
        self._account.add(*people)
        if empty_matches is not self._empty_matches:
            self._account.behaviour(negated_empty_matches=empty_matches)
            self._empty_matches = empty_matches

    def ids(self, query: Query) -> set[str]:
        return {str(row["id"]) for row in self._close.search(to_json(query), limit=100)}


@pytest.fixture(scope="module")
def organisation(running_sandbox: CloseAccount) -> Iterator[Organisation]:
    found = CloseSettings(api_url=running_sandbox.url, api_key=SecretStr(ADMIN))
    with CloseClient(found) as close:
        yield Organisation(running_sandbox, close)
    running_sandbox.reset()


@FAST
@given(people=leads, criteria=st.lists(st.tuples(matches, keeps), min_size=4, max_size=4), empty_matches=st.booleans())
def test_exactly_the_leads_are_planned_that_the_criteria_promise(
    organisation: Organisation, people: list[Lead], criteria: list[tuple[Match, Keep]], empty_matches: bool
):
    """Whatever Close makes of a negated condition on an empty field; and what is matched is either kept or planned."""
    organisation.holds(people, empty_matches=empty_matches)
    for match, keep in criteria:
        selection = Criteria(match, keep, AS_OF).select(NAMES)
        matched = {lead["id"] for lead in people if is_planned(lead, match, Keep.model_validate(NOTHING))}
        kept = {lead["id"] for lead in people if lead["id"] in matched and is_kept(lead, keep, AS_OF)}
        event(f"matched {min(len(matched), 2)}, kept {min(len(kept), 2)}")

        assert organisation.ids(selection.planned()) == matched - kept
        assert organisation.ids(selection.matched()) == matched
        assert (organisation.ids(selection.kept()) if selection.keep else set[str]()) == kept


def test_the_naive_reading_is_not_trivial():
    """A lead that everything speaks for, and each single thing that speaks against it."""
    old: Lead = {
        "id": "lead_0",
        "name": "A Test",
        "status_label": "Junk",
        "date_created": "2020-01-01T00:00:00+00:00",
        "date_updated": "2020-01-01T00:00:00+00:00",
        "last_communication_date": None,
        **{each: [] for each in ("contacts", "opportunities", "activities", "tasks", "sequence_subscriptions")},
    }
    match = Match(status=["Junk"], inactive_months=13, name_words=["test"], unreachable=True, never_communicated=True)

    assert is_matched(old, match, AS_OF)
    assert is_planned(old, match, Keep())
    for change in (
        {"status_label": "Customer"},
        {"name": "Testudo"},
        {"last_communication_date": "2026-01-01T00:00:00+00:00"},
        {"date_updated": AS_OF.isoformat()},
        {"opportunities": [{"status_type": "won"}]},
        {"contacts": [{"emails": [{"email": "a@b.de"}], "phones": []}]},
    ):
        assert not is_planned({**old, **change}, match, Keep())
    assert not is_planned(old, match, Keep(lead_ids=["lead_0"]))


# --- every lead is on one side ----------------------------------------------------------------------------------------


def _on(field: Json, condition: Json) -> Json:
    return {"type": "field_condition", "field": field, "condition": condition}


def _lead(name: str) -> Json:
    return {"type": "regular_field", "object_type": "lead", "field_name": name}


def _custom(field_id: str) -> Json:
    return {"type": "custom_field", "custom_field_id": field_id}


def _moment(at: str) -> Json:
    return {"type": "moment_range", "before": {"type": "fixed_utc", "value": at}}


def _contact(address: str, negate: bool) -> Json:
    field = {"type": "regular_field", "object_type": "contact_email", "field_name": "email"}
    text = {**_on(field, {"type": "text", "mode": "full_words", "value": address}), "negate": negate}
    inner = {"this_object_type": "contact", "related_object_type": "contact_email", "related_query": text}
    outer = {"this_object_type": "lead", "related_object_type": "contact"}
    return {"type": "has_related", **outer, "related_query": {"type": "has_related", **inner}}


def _status(label: str) -> Json:
    reference = {"type": "reference", "reference_type": "status.lead", "object_ids": [STATUS_IDS[label]]}
    return _on(_lead("status_id"), reference)


def _opportunity(kind: str) -> Json:
    field = {"type": "regular_field", "object_type": "opportunity", "field_name": "status_type"}
    kinds = {"this_object_type": "lead", "related_object_type": "opportunity"}
    return {"type": "has_related", **kinds, "related_query": _on(field, {"type": "term", "values": [kind]})}


_manager: Json = {"type": "reference", "reference_type": "user", "object_ids": [USER.id]}
_leaves: st.SearchStrategy[Json] = st.one_of(
    st.sampled_from(IDS).map(lambda lead_id: {"type": "id", "value": lead_id}),
    st.sampled_from(WORDS).map(lambda word: {"type": "text", "value": word, "mode": "full_words"}),
    st.sampled_from(WORDS).map(lambda word: _on(_lead("name"), {"type": "text", "mode": "full_words", "value": word})),
    st.sampled_from(STATUSES).map(_status),
    instants.map(lambda at: _on(_lead("last_communication_date"), _moment(at))),
    instants.map(lambda at: _on(_lead("date_created"), _moment(at))),
    st.just(_on(_lead("last_communication_date"), {"type": "exists"})),
    st.sampled_from(SOURCES).map(lambda source: _on(_custom(SOURCE_ID), {"type": "term", "values": [source]})),
    st.sampled_from(SCORES).map(lambda score: _on(_custom(SCORE_ID), {"type": "number_range", "gt": score})),
    st.just(_on(_custom(MANAGER_ID), _manager)),
    st.just(_on(_lead("num_upcoming_meetings"), {"type": "number_range", "gte": 1})),
    st.builds(_contact, st.sampled_from(DOMAINS), st.booleans()),
    st.sampled_from(["active", "won", "lost"]).map(_opportunity),
)


def _turned(query: Json, negate: bool) -> Json:
    return {**query, "negate": negate}


def _group(kind: str, queries: list[Json]) -> Json:
    return {"type": kind, "queries": queries}


def _grouped(inner: st.SearchStrategy[Json]) -> st.SearchStrategy[Json]:
    groups = st.builds(_group, st.sampled_from(["and", "or"]), st.lists(inner, min_size=1, max_size=3))
    return st.builds(_turned, groups, st.booleans())


random_queries = st.recursive(st.builds(_turned, _leaves, st.booleans()), _grouped, max_leaves=6)


@FAST
@given(people=leads, documents=st.lists(random_queries, min_size=4, max_size=4), empty_matches=st.booleans())
def test_every_lead_either_meets_a_query_or_does_not(
    organisation: Organisation, people: list[Lead], documents: list[Json], empty_matches: bool
):
    """Whatever Close makes of a negated condition on an empty field, a keep rule protects a lead or it doesn't."""
    organisation.holds(people, empty_matches=empty_matches)
    for document in documents:
        query = parse(document)
        inside = organisation.ids(And(queries=(LEADS, asserted(query))))
        outside = organisation.ids(And(queries=(LEADS, denied(query))))
        event(f"inside {min(len(inside), 2)}, outside {min(len(outside), 2)}")

        assert inside | outside == {lead["id"] for lead in people}
        assert not inside & outside
