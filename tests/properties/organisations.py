"""Random leads and criteria, and what the criteria mean, said once more in plain Python.

`is_matched` and `is_kept` are written from what the settings promise to people; they know nothing of queries.
"""

import re
from datetime import UTC, datetime, timedelta
from typing import Any

from dateutil.relativedelta import relativedelta
from hypothesis import strategies as st

from deployments.sandbox.organization import CUSTOM_FIELDS, MANAGER_ID, SCORE_ID, SOURCE_ID, STATUS_IDS, USER
from tasks.close.resources import CustomField, LeadStatus
from tasks.criteria.names import Names
from tasks.criteria.policy import Keep, Match

Lead = dict[str, Any]
AS_OF = datetime(2026, 3, 31, 10, 20, 30, 456000, tzinfo=UTC)
AHEAD = "2199-01-01T00:00:00.000Z"
MONTHS, DAYS = (1, 13), (1, 30)
STATUSES = ("Potential", "Customer", "Junk")
WORDS = ("test", "testudo", "contest", "acme", "café")
DOMAINS = ("example.com", "other.org", "mail.third.net")
SOURCES = ("Website form", "Purchased list A")
SCORES = (0, 2.5, 7)
IDS = tuple(f"lead_{number}" for number in range(8))

NAMES = Names(
    statuses=[LeadStatus(id=status_id, label=label) for label, status_id in STATUS_IDS.items()],
    custom_fields=[
        CustomField(id=each.id, name=each.name, type=each.type, choices=list(each.choices) if each.choices else None)
        for each in CUSTOM_FIELDS
    ],
)

# --- leads ------------------------------------------------------------------------------------------------------------


def _near(edge: datetime, milliseconds: int) -> str:
    return (edge + timedelta(milliseconds=milliseconds)).isoformat(timespec="milliseconds")


_months_ago: list[datetime] = [AS_OF - relativedelta(months=months) for months in MONTHS]
_edges = [AS_OF, AS_OF - timedelta(days=2000), *_months_ago, *(AS_OF - timedelta(days=days) for days in DAYS)]
instants: st.SearchStrategy[str] = st.builds(_near, st.sampled_from(_edges), st.sampled_from([-1, 0, 1]))


def _some(**each: Any) -> st.SearchStrategy[list[dict[str, Any]]]:
    return st.lists(st.fixed_dictionaries(each), max_size=2)


_addresses = st.sampled_from([f"ann@{domain}" for domain in DOMAINS] + ["Bob@Example.COM", "eve@elsewhere.de"])
_contacts = _some(
    name=st.just("Ann"),
    emails=_some(email=_addresses, type=st.just("office")),
    phones=_some(phone=st.just("+4912345678"), type=st.just("office")),
)
_meetings = st.sampled_from([{"_type": "Meeting", "starts_at": at} for at in (AHEAD, "2020-01-01T00:00:00.000Z")])
_lead: dict[str, st.SearchStrategy[Any]] = {
    "name": st.lists(st.sampled_from([*WORDS, "TEST", "(test)", "-"]), max_size=2).map(" ".join),
    "status_label": st.sampled_from(STATUSES),
    "date_created": instants,
    "date_updated": st.just(_near(AS_OF, -1)) | instants,
    "last_communication_date": st.none() | instants,
    "contacts": _contacts,
    "opportunities": _some(status_type=st.sampled_from(["active", "won", "lost"])),
    "activities": st.lists(_meetings, max_size=1),
    "tasks": _some(is_complete=st.booleans()),
    "sequence_subscriptions": _some(status=st.sampled_from(["active", "paused", "finished"])),
}
_custom_values: dict[str, st.SearchStrategy[Any]] = {
    f"custom.{SOURCE_ID}": st.sampled_from(SOURCES),
    f"custom.{SCORE_ID}": st.sampled_from(SCORES),
    f"custom.{MANAGER_ID}": st.just(USER.id),
}


def _numbered(made: list[Lead]) -> list[Lead]:
    return [{"id": lead_id, **lead} for lead_id, lead in zip(IDS, made, strict=False)]


leads: st.SearchStrategy[list[Lead]] = st.lists(
    st.fixed_dictionaries(_lead, optional=_custom_values), min_size=4, max_size=len(IDS)
).map(_numbered)

# --- criteria ---------------------------------------------------------------------------------------------------------


def _lists(*values: str) -> st.SearchStrategy[list[str]]:
    return st.lists(st.sampled_from(values), min_size=1, max_size=2)


_custom_fields: st.SearchStrategy[Any] = st.one_of(
    st.fixed_dictionaries({"source": _lists(*SOURCES)}),
    st.fixed_dictionaries({"score": st.lists(st.sampled_from(SCORES), min_size=1, max_size=2)}),
    st.fixed_dictionaries({"account manager": st.just([USER.id]), "source": st.just([SOURCES[0]])}),
)
_on = st.just(True)
_criteria: dict[str, st.SearchStrategy[Any]] = {
    "status": _lists(*STATUSES[:2], STATUS_IDS["Junk"]),
    "inactive_months": st.sampled_from(MONTHS),
    "never_communicated": _on,
    "created_before_months": st.sampled_from(MONTHS),
    "without_contacts": _on,
    "unreachable": _on,
    "name_words": _lists(*WORDS),
    "email_domains": _lists(*DOMAINS),
    "custom_fields": _custom_fields,
}
_rules: dict[str, st.SearchStrategy[Any]] = {
    "open_opportunities": _on,
    "won_opportunities": _on,
    "upcoming_meetings": _on,
    "running_workflows": _on,
    "created_within_days": st.sampled_from(DAYS),
    "communication_within_days": st.sampled_from(DAYS),
    "open_tasks": _on,
    "status": _lists(*STATUSES),
    "lead_ids": _lists(*IDS),
    "email_domains": _lists(*DOMAINS),
    "custom_fields": _custom_fields,
}
NOTHING: dict[str, Any] = {name: None if name.endswith("days") else False for name in list(_rules)[:6]}
"""The keep rules that are on by default, turned off."""


def _a_few(settings: dict[str, st.SearchStrategy[Any]], least: int, most: int) -> st.SearchStrategy[dict[str, Any]]:
    """A few of the settings: with many at once, hardly a lead would ever meet them all."""
    names = st.lists(st.sampled_from(list(settings)), min_size=least, max_size=most, unique=True)
    return names.flatmap(lambda chosen: st.fixed_dictionaries({name: settings[name] for name in chosen}))


matches: st.SearchStrategy[Match] = _a_few(_criteria, 1, 3).map(Match.model_validate)
keeps: st.SearchStrategy[Keep] = st.just(Keep()) | _a_few(_rules, 0, 3).map(
    lambda rules: Keep.model_validate({**NOTHING, **rules})
)

# --- what the criteria mean -------------------------------------------------------------------------------------------


def is_planned(lead: Lead, match: Match, keep: Keep, as_of: datetime = AS_OF) -> bool:
    """Matched, not kept, and neither created nor changed since the cut-off."""
    seen = _at(lead, "date_created") < as_of and _at(lead, "date_updated") < as_of
    return seen and is_matched(lead, match, as_of) and not is_kept(lead, keep, as_of)


def is_matched(lead: Lead, match: Match, as_of: datetime) -> bool:
    """All criteria that are set hold."""
    created = _at(lead, "date_created")
    spoken = lead["last_communication_date"] and _at(lead, "last_communication_date")
    contacts = lead["contacts"]
    holds = [True]
    if match.status:
        holds.append(_in_status(lead, match.status))
    if match.inactive_months:
        holds.append((spoken or created) < as_of - relativedelta(months=match.inactive_months))
    if match.never_communicated:
        holds.append(not spoken)
    if match.created_before_months:
        holds.append(created < as_of - relativedelta(months=match.created_before_months))
    if match.without_contacts:
        holds.append(not contacts)
    if match.unreachable:
        holds.append(not any(contact["emails"] or contact["phones"] for contact in contacts))
    if match.name_words:
        holds.append(any(word in re.split(r"\W+", lead["name"].lower()) for word in match.name_words))
    if match.email_domains:
        holds.append(_at_domain(lead, match.email_domains))
    for name, values in (match.custom_fields or {}).items():
        holds.append(_custom(lead, name) in values)
    return all(holds)


def is_kept(lead: Lead, keep: Keep, as_of: datetime) -> bool:
    """Any rule that is on protects."""
    spoken = lead["last_communication_date"] and _at(lead, "last_communication_date")
    opportunities = {each["status_type"] for each in lead["opportunities"]}
    created_days, spoken_days = keep.created_within_days, keep.communication_within_days
    return any(
        (
            keep.open_opportunities and "active" in opportunities,
            keep.won_opportunities and "won" in opportunities,
            keep.upcoming_meetings and any(each["starts_at"] == AHEAD for each in lead["activities"]),
            keep.running_workflows
            and any(each["status"] in {"active", "paused"} for each in lead["sequence_subscriptions"]),
            created_days and _at(lead, "date_created") >= as_of - timedelta(days=created_days),
            spoken_days and spoken and spoken >= as_of - timedelta(days=spoken_days),
            keep.open_tasks and not all(each["is_complete"] for each in lead["tasks"]),
            keep.status and _in_status(lead, keep.status),
            keep.lead_ids and lead["id"] in keep.lead_ids,
            keep.email_domains and _at_domain(lead, keep.email_domains),
            any(_custom(lead, name) in values for name, values in (keep.custom_fields or {}).items()),
        )
    )


def _at(lead: Lead, name: str) -> datetime:
    return datetime.fromisoformat(lead[name])


def _in_status(lead: Lead, wanted: list[str]) -> bool:
    return lead["status_label"] in wanted or STATUS_IDS[lead["status_label"]] in wanted


def _at_domain(lead: Lead, domains: list[str]) -> bool:
    emails = [email["email"] for contact in lead["contacts"] for email in contact["emails"]]
    return any(email.lower().endswith(f"@{domain}") for email in emails for domain in domains)


def _custom(lead: Lead, name: str) -> object:
    return lead.get(f"custom.{ {'source': SOURCE_ID, 'score': SCORE_ID, 'account manager': MANAGER_ID}[name] }")
