"""A naive reader of queries as JSON: does one lead, given as in Close with everything nested, meet the query?

It knows only what our typed criteria use, and fails on anything else.
"""

import operator
import re
from datetime import datetime
from typing import Any

Json = dict[str, Any]
CHILDREN = {
    ("lead", "contact"): "contacts",
    ("lead", "opportunity"): "opportunities",
    ("lead", "sequence_subscription"): "sequence_subscriptions",
    ("contact", "contact_email"): "emails",
    ("contact", "contact_phone"): "phones",
}

COMPARE = {"gt": operator.gt, "gte": operator.ge, "lt": operator.lt, "lte": operator.le}


def meets(query: Json, thing: Json, kind: str = "lead") -> bool:
    """Whether *thing*, which is of this *kind*, meets *query*."""
    return _meets(query, thing, kind) != query.get("negate", False)


def _meets(query: Json, thing: Json, kind: str) -> bool:
    match query["type"]:
        case "and":
            return all(meets(each, thing, kind) for each in query["queries"])
        case "or":
            return any(meets(each, thing, kind) for each in query["queries"])
        case "object_type":
            return query["object_type"] == kind
        case "id":
            return query["value"] == thing["id"]
        case "has_related":
            assert query["this_object_type"] == kind
            related = query["related_object_type"]
            return any(meets(query["related_query"], each, related) for each in thing[CHILDREN[kind, related]])
        case "field_condition":
            return _holds(query["condition"], _value(query["field"], thing, kind))
        case other:
            raise AssertionError(other)


def _value(field: Json, thing: Json, kind: str) -> Any:
    if field["type"] == "custom_field":
        return thing.get(f"custom.{field['custom_field_id']}")
    assert field["object_type"] == kind
    return thing[field["field_name"]]


def _holds(condition: Json, value: Any) -> bool:
    match condition["type"]:
        case "exists":
            return value is not None
        case "reference" | "term":
            return value in (condition.get("values") or condition["object_ids"])
        case "text":
            return _has_text(condition, value or "")
        case "number_range":
            bounds = [(COMPARE[key], bound) for key, bound in condition.items() if key != "type"]
            return value is not None and all(compare(value, bound) for compare, bound in bounds)
        case "moment_range":
            return value is not None and _within(condition, datetime.fromisoformat(value))
        case other:
            raise AssertionError(other)


def _has_text(condition: Json, value: str) -> bool:
    if condition["mode"] == "exact_value":
        return value == condition["value"]
    return set(re.findall(r"\w+", condition["value"])) <= set(re.findall(r"\w+", value.lower()))


def _within(condition: Json, value: datetime) -> bool:
    since, before = condition.get("on_or_after"), condition.get("before")
    return (since is None or value >= datetime.fromisoformat(since["value"])) and (
        before is None or value < datetime.fromisoformat(before["value"])
    )
