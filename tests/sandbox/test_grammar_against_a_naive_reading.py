"""Random queries over random leads: the sandbox's SQL agrees with the plainest possible reading of the grammar."""

import re
from datetime import UTC, datetime, timedelta
from typing import Any

from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from words_for_close import ANY, LEAD, Close, Query, both, either, field, related, utc, where

from deployments.sandbox.organization import STATUS_IDS

START = datetime(2024, 1, 1, tzinfo=UTC)
WORDS = ("test", "testudo", "acme", "café", "lead")
KINDS = ("active", "won", "lost")
STATUSES = tuple(STATUS_IDS.values())[:3]
days = st.integers(0, 20)
moments = days.map(lambda day: (START + timedelta(days=day)).strftime("%Y-%m-%dT%H:%M:%S.000Z"))
opportunities = st.fixed_dictionaries({"status_type": st.sampled_from(KINDS)})
leads = st.fixed_dictionaries(
    {
        "status_id": st.sampled_from(STATUSES),
        "name": st.lists(st.sampled_from(WORDS), min_size=1, max_size=3).map(" ".join),
        "date_created": moments,
        "last_communication_date": st.none() | moments,
        "opportunities": st.lists(opportunities, max_size=2),
        "contacts": st.lists(
            st.fixed_dictionaries({"emails": st.lists(st.just({"email": "a@test.example"}), max_size=1)}), max_size=2
        ),
    }
)


def _before(name: str, moment: str, negate: bool) -> Query:
    return where(name, "moment_range", before=utc(moment), negate=negate)


def _since(moment: str) -> Query:
    return where("last_communication_date", "moment_range", on_or_after=utc(moment))


def _exists(negate: bool) -> Query:
    return where("last_communication_date", "exists", negate=negate)


def _text_node(mode: str, value: str, negate: bool) -> Query:
    return where("name", "text", mode=mode, value=value, negate=negate)


def _more_contacts(number: int, negate: bool) -> Query:
    return where("num_contacts", "number_range", gt=number, negate=negate)


def _opportunity(kind: str, inner: bool, outer: bool) -> Query:
    is_kind = where(field("status_type", "opportunity"), "term", values=[kind], negate=inner)
    return related("opportunity", is_kind, negate=outer)


def _contact(inner: bool, outer: bool) -> Query:
    return related("contact", related("contact_email", ANY, "contact", negate=inner), negate=outer)


def _status(ids: list[str], negate: bool) -> Query:
    return where("status_id", "reference", reference_type="status.lead", object_ids=ids, negate=negate)


def _any(negate: bool) -> Query:
    return {**ANY, "negate": negate}


def _group(kind: str, nodes: list[Query], negate: bool) -> Query:
    return (both if kind == "and" else either)(*nodes, negate=negate)


def _groups(below: st.SearchStrategy[Query]) -> st.SearchStrategy[Query]:
    return st.builds(_group, st.sampled_from(("and", "or")), st.lists(below, min_size=1, max_size=3), flags)


flags = st.booleans()
modes = st.sampled_from(("full_words", "beginning_of_words", "phrase", "exact_value"))
leaves: st.SearchStrategy[Query] = st.one_of(
    st.builds(_before, st.sampled_from(("date_created", "last_communication_date")), moments, flags),
    st.builds(_since, moments),
    st.builds(_exists, flags),
    st.builds(_text_node, modes, st.sampled_from((*WORDS, "acme test", "test lead")), flags),
    st.builds(_more_contacts, st.integers(0, 2), flags),
    st.builds(_opportunity, st.sampled_from(KINDS), flags, flags),
    st.builds(_contact, flags, flags),
    st.builds(_status, st.lists(st.sampled_from((*STATUSES, "stat_unknown")), min_size=1, max_size=2), flags),
    st.builds(_any, flags),
)
queries = st.recursive(leaves, _groups, max_leaves=8)


def holds(query: Query, lead: Any) -> bool:
    return _plain(query, lead) != query.get("negate", False)


def _plain(query: Query, it: Any) -> bool:
    match query["type"]:
        case "match_all":
            return True
        case "and":
            return all(holds(each, it) for each in query["queries"])
        case "or":
            return any(holds(each, it) for each in query["queries"])
        case "has_related":
            key = {"opportunity": "opportunities", "contact": "contacts", "contact_email": "emails"}
            return any(holds(query["related_query"], each) for each in it[key[query["related_object_type"]]])
        case _:
            name = query["field"]["field_name"]
            value = len(it["contacts"]) if name == "num_contacts" else it[name]
            return value is not None and _condition(query["condition"], value)


def _condition(condition: Query, value: Any) -> bool:
    match condition["type"]:
        case "exists":
            return True
        case "number_range":
            return value > condition["gt"]
        case "term":
            return value in condition["values"]
        case "reference":
            return value in condition["object_ids"]
        case "moment_range":
            after, before = condition.get("on_or_after"), condition.get("before")
            return (after is None or value >= after["value"]) and (before is None or value < before["value"])
        case _:
            return _text(condition["mode"], condition["value"], value)


def _text(mode: str, wanted: str, text: str) -> bool:
    if mode == "exact_value":
        return wanted == text
    if mode == "phrase":
        return re.search(rf"\b{wanted}\b", text) is not None
    end = r"\b" if mode == "full_words" else ""
    return all(re.search(rf"\b{word}{end}", text) for word in wanted.split())


@settings(max_examples=40, suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow])
@given(organisation=st.lists(leads, min_size=4, max_size=12), asked=st.lists(queries, min_size=6, max_size=10))
def test_sql_and_a_naive_reading_select_the_same_leads(
    close: Close, organisation: list[dict[str, Any]], asked: list[Query]
) -> None:
    close.control("POST", "reset", {"leads": 0})
    ids = close.load(*organisation)

    for query in asked:
        body = {"query": both(LEAD, query), "include_counts": True}
        found = close.post("data/search/", body)
        expected = [id_ for id_, lead in zip(ids, organisation, strict=True) if holds(query, lead)]
        assert [row["id"] for row in found["data"]] == expected, query
        assert found["count"]["total"] == len(expected)
