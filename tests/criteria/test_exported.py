"""Criteria and keep rules, read again in the export: what a person would see who looked at each lead."""

from datetime import UTC, datetime
from typing import Any

import pytest

from tasks.criteria.policy import Keep, Match
from tasks.criteria.reading import agreeing
from tasks.criteria.selection import Criteria
from tasks.runs.outcomes import Refused

AS_OF = datetime(2026, 3, 31, 10, 20, 30, 456000, tzinfo=UTC)
OFF: dict[str, Any] = {
    **dict.fromkeys(("open_opportunities", "won_opportunities", "upcoming_meetings", "running_workflows"), False),
    **dict.fromkeys(("created_within_days", "communication_within_days"), None),
}
OLD = "2020-01-01T00:00:00.000000+00:00"
LATELY = "2026-03-20T00:00:00+00:00"
MAIL = [{"emails": [{"email": "ann@example.com"}]}]
LEAD: dict[str, Any] = {
    "id": "lead_1",
    "name": "Test Ltd",
    "status_id": "stat_1",
    "status_label": "Junk",
    "date_created": OLD,
    "last_communication_date": None,
    "contacts": [],
    "opportunities": [],
    "num_upcoming_meetings": 0,
    "num_incomplete_tasks": 0,
}


def read(match: dict[str, Any], keep: dict[str, Any], *leads: dict[str, Any]) -> list[str]:
    return [each["id"] for each in agreeing(iter(leads), Criteria(Match(**match), Keep(**{**OFF, **keep}), AS_OF))]


@pytest.mark.parametrize(
    ("match", "lead"),
    [
        ({"status": ["Bad Fit"]}, {}),
        ({"status": ["stat_2"]}, {}),
        ({"inactive_months": 12}, {"last_communication_date": "2025-04-01T00:00:00+00:00"}),
        ({"inactive_months": 12}, {"date_created": "2025-04-01T00:00:00+00:00"}),
        ({"never_communicated": True}, {"last_communication_date": OLD}),
        ({"created_before_months": 6}, {"date_created": LATELY}),
        ({"without_contacts": True}, {"contacts": [{"name": "Ann"}]}),
        ({"unreachable": True}, {"contacts": MAIL}),
        ({"unreachable": True}, {"contacts": [{"phones": [{"phone": "+49 30"}]}]}),
        ({"name_words": ["test"]}, {"name": "Testudo"}),
        ({"email_domains": ["other.org"]}, {"contacts": MAIL}),
    ],
)
def test_a_lead_that_is_not_what_it_is_to_be_deleted_for_stops_the_run(match: dict[str, Any], lead: dict[str, Any]):
    with pytest.raises(Refused) as caught:
        read(match, {}, {**LEAD, "id": "lead_2", **lead})

    assert f"1 lead contradicts match.{next(iter(match))} (lead_2)" in str(caught.value)


@pytest.mark.parametrize(
    ("keep", "lead"),
    [
        ({"open_opportunities": True}, {"opportunities": [{"status_type": "lost"}, {"status_type": "active"}]}),
        ({"won_opportunities": True}, {"opportunities": [{"status_type": "won"}]}),
        ({"upcoming_meetings": True}, {"num_upcoming_meetings": 1}),
        ({"created_within_days": 30}, {"date_created": LATELY}),
        ({"communication_within_days": 30}, {"last_communication_date": "2026-03-20"}),
        ({"open_tasks": True}, {"num_incomplete_tasks": 2}),
        ({"status": ["Junk"]}, {}),
        ({"lead_ids": ["lead_2"]}, {}),
        ({"email_domains": ["example.com"]}, {"contacts": MAIL}),
    ],
)
def test_a_lead_that_is_protected_stops_the_run(keep: dict[str, Any], lead: dict[str, Any]):
    with pytest.raises(Refused) as caught:
        read({"name_words": ["test"]}, keep, {**LEAD, "id": "lead_2", **lead})

    assert f"1 lead contradicts keep.{next(iter(keep))} (lead_2)" in str(caught.value)


EVERYTHING: dict[str, Any] = {
    "status": ["Junk"],
    "inactive_months": 12,
    "never_communicated": True,
    "created_before_months": 6,
    "without_contacts": True,
    "unreachable": True,
    "name_words": ["test"],
}
PROTECTED: dict[str, Any] = {
    **Keep().model_dump(exclude_none=True),
    "open_tasks": True,
    "status": ["Customer"],
    "lead_ids": ["lead_9"],
    "email_domains": ["other.org"],
}


def test_leads_that_agree_come_through_unchanged_and_in_order():
    assert read(EVERYTHING, PROTECTED, LEAD, {**LEAD, "id": "lead_2"}) == ["lead_1", "lead_2"]


def test_what_a_lead_came_without_contradicts_nothing():
    """The query has seen to it; this is a second look, at what there is to see."""
    assert read({**EVERYTHING, "email_domains": ["a.org"]}, PROTECTED, {"id": "lead_1"}) == ["lead_1"]


def test_of_many_a_few_are_named_and_none_by_name():
    with pytest.raises(Refused) as caught:
        read({"status": ["Bad Fit"]}, {}, *({**LEAD, "id": f"lead_{number}"} for number in range(1200)))

    said = str(caught.value)
    assert "1,200 leads contradict match.status (lead_0, lead_1, lead_2, lead_3, lead_4)" in said
    assert "Test Ltd" not in said
