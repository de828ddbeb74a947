"""Random queries over random leads: the sandbox's SQL agrees with the plainest possible reading of the grammar."""

import re
from datetime import UTC, datetime, timedelta
from typing import Any

from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from words_for_close import LEAD, Close, Query, both, either, field, related, utc, where

START = datetime(2024, 1, 1, tzinfo=UTC)
WORDS = ("test", "testudo", "acme", "café", "lead")
KINDS = ("active", "won", "lost")
days = st.integers(0, 20)
moments = days.map(lambda day: (START + timedelta(days=day)).strftime("%Y-%m-%dT%H:%M:%S.000Z"))
leads = st.fixed_dictionaries(
    {
        "name": st.lists(st.sampled_from(WORDS), min_size=1, max_size=3).map(" ".join),
        "date_created": moments,
        "last_communication_date": st.none() | moments,
        "opportunities": st.lists(st.fixed_dictionaries({"status_type": st.sampled_from(KINDS)}), max_size=2),
        "contacts": st.lists(
            st.fixed_dictionaries({"emails": st.lists(st.just({"email": "a@test.example"}), max_size=1)}), max_size=2
        ),
    }
)
leaves = st.one_of(
    st.builds(
        lambda name, before, negate: where(name, "moment_range", before=utc(before), negate=negate),
        st.sampled_from(("date_created", "last_communication_date")),
        moments,
        st.booleans(),
    ),
    st.builds(lambda after: where("last_communication_date", "moment_range", on_or_after=utc(after)), moments),
    st.builds(lambda negate: where("last_communication_date", "exists", negate=negate), st.booleans()),
    st.builds(
        lambda mode, value, negate: where("name", "text", mode=mode, value=value, negate=negate),
        st.sampled_from(("full_words", "beginning_of_words", "phrase", "exact_value")),
        st.sampled_from((*WORDS, "acme test", "test lead")),
        st.booleans(),
    ),
    st.builds(
        lambda n, negate: where("num_contacts", "number_range", gt=n, negate=negate),
        days.map(lambda n: n % 3),
        st.booleans(),
    ),
    st.builds(
        lambda kind, inner, outer: related(
            "opportunity", where(field("status_type", "opportunity"), "term", values=[kind], negate=inner), negate=outer
        ),
        st.sampled_from(KINDS),
        st.booleans(),
        st.booleans(),
    ),
    st.builds(
        lambda inner, outer: related(
            "contact", related("contact_email", {"type": "match_all"}, "contact", negate=inner), negate=outer
        ),
        st.booleans(),
        st.booleans(),
    ),
    st.builds(lambda negate: {"type": "match_all", "negate": negate}, st.booleans()),
)
queries = st.recursive(
    leaves,
    lambda below: st.builds(
        lambda group, nodes, negate: group(*nodes, negate=negate),
        st.sampled_from((both, either)),
        st.lists(below, min_size=1, max_size=3),
        st.booleans(),
    ),
    max_leaves=8,
)


def holds(query: Query, lead: Any) -> bool:
    return _plain(query, lead) != query.get("negate", False)


def _plain(query: Query, it: Any) -> bool:
    match query["type"]:
        case "match_all":
            return True
        case "and":
            return all([holds(each, it) for each in query["queries"]])
        case "or":
            return any([holds(each, it) for each in query["queries"]])
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
