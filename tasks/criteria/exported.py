"""Criteria and keep rules, checked a second time on the exported leads, by our own reading.

The query is what Close goes by; this is what a person would see who looked at each lead of the backup. What an export
doesn't show isn't checked: workflows, Smart Views, pasted queries, custom fields; nor what a lead came without.
"""

from collections.abc import Callable, Iterator, Mapping, Sequence
from datetime import UTC, datetime, timedelta
from typing import Any, cast

from dateutil.relativedelta import relativedelta

from tasks.criteria.policy import Keep, Match
from tasks.criteria.reading import EXAMPLES, Lead, has_domain, has_word
from tasks.runs.outcomes import Refused

Contradicts = Callable[[Lead], bool]
"""Whether a lead, as far as it shows, isn't what a rule is about."""


def agreeing(leads: Iterator[dict[str, Any]], match: Match, keep: Keep, as_of: datetime) -> Iterator[dict[str, Any]]:
    """The same *leads*, read on their way. Raises `Refused` after the last, with ids, if some contradict a rule."""
    rules = contradictions(match, keep, as_of)
    number = dict.fromkeys(rules, 0)
    examples: dict[str, list[str]] = {rule: [] for rule in rules}
    for lead in leads:
        for rule, contradicts in rules.items():
            if contradicts(lead):
                number[rule] += 1
                examples[rule] += [str(lead["id"])] if number[rule] <= EXAMPLES else []
        yield lead
    said = [f"{number[rule]:,} contradict {rule} ({', '.join(found)})" for rule, found in examples.items() if found]
    if said:
        raise Refused(
            f"Of the exported leads, as we read them, {'; '.join(said)}. Nothing was deleted: look at them, and put "
            "the ones to spare into keep.lead_ids."
        )


def contradictions(match: Match, keep: Keep, as_of: datetime) -> dict[str, Contradicts]:
    """What a lead must not show, by the setting that says so. Times are reckoned from *as_of* (UTC)."""
    return {**dict(_of_match(match, as_of)), **dict(_of_keep(keep, as_of))}


def _of_match(match: Match, as_of: datetime) -> Iterator[tuple[str, Contradicts]]:
    if labels := match.status:
        yield "match.status", lambda lead: "status_id" in lead and not _has_status(lead, labels)
    if months := match.inactive_months:
        silent_since = as_of - relativedelta(months=months)
        yield "match.inactive_months", lambda lead: _spoken_to_or_created(lead, silent_since)
    if match.never_communicated:
        yield "match.never_communicated", lambda lead: bool(lead.get("last_communication_date"))
    if months := match.created_before_months:
        created_before = as_of - relativedelta(months=months)
        yield "match.created_before_months", lambda lead: _is_since(lead, "date_created", created_before)
    if match.without_contacts:
        yield "match.without_contacts", lambda lead: bool(_rows(lead, "contacts"))
    if match.unreachable:
        yield (
            "match.unreachable",
            lambda lead: any(
                _filled(each, "emails", "email") or _filled(each, "phones", "phone") for each in _rows(lead, "contacts")
            ),
        )
    if words := match.name_words:
        yield "match.name_words", lambda lead: "name" in lead and not has_word(lead, words)
    if domains := match.email_domains:
        yield "match.email_domains", lambda lead: "contacts" in lead and not has_domain(lead, domains)


def _of_keep(keep: Keep, as_of: datetime) -> Iterator[tuple[str, Contradicts]]:
    if keep.open_opportunities:
        yield "keep.open_opportunities", lambda lead: _has_opportunity(lead, "active")
    if keep.won_opportunities:
        yield "keep.won_opportunities", lambda lead: _has_opportunity(lead, "won")
    if keep.upcoming_meetings:
        yield "keep.upcoming_meetings", lambda lead: _number(lead, "num_upcoming_meetings") > 0
    if days := keep.created_within_days:
        created_since = as_of - timedelta(days=days)
        yield "keep.created_within_days", lambda lead: _is_since(lead, "date_created", created_since)
    if days := keep.communication_within_days:
        spoken_since = as_of - timedelta(days=days)
        yield "keep.communication_within_days", lambda lead: _is_since(lead, "last_communication_date", spoken_since)
    if keep.open_tasks:
        yield "keep.open_tasks", lambda lead: _number(lead, "num_incomplete_tasks") > 0
    if labels := keep.status:
        yield "keep.status", lambda lead: _has_status(lead, labels)
    if ids := keep.lead_ids:
        yield "keep.lead_ids", lambda lead: lead["id"] in ids
    if domains := keep.email_domains:
        yield "keep.email_domains", lambda lead: has_domain(lead, domains)


def _has_status(lead: Lead, labels: Sequence[str]) -> bool:
    return not {lead.get("status_id"), lead.get("status_label")}.isdisjoint(labels)


def _spoken_to_or_created(lead: Lead, instant: datetime) -> bool:
    if "last_communication_date" not in lead:
        return False
    return _is_since(lead, "last_communication_date" if lead["last_communication_date"] else "date_created", instant)


def _is_since(lead: Lead, name: str, instant: datetime) -> bool:
    """Whether the lead shows an instant there that is *instant* or later. A mere date is the beginning of that day."""
    try:
        shown = datetime.fromisoformat(str(lead.get(name) or ""))
    except ValueError:
        return False
    return (shown if shown.tzinfo else shown.replace(tzinfo=UTC)) >= instant


def _has_opportunity(lead: Lead, status_type: str) -> bool:
    return any(each.get("status_type") == status_type for each in _rows(lead, "opportunities"))


def _number(lead: Lead, name: str) -> float:
    shown = lead.get(name)
    return float(shown) if isinstance(shown, int | float) else 0


def _filled(row: Mapping[str, Any], name: str, part: str) -> bool:
    return any(each.get(part) for each in _rows(row, name))


def _rows(row: Mapping[str, Any], name: str) -> list[Mapping[str, Any]]:
    return cast("list[Mapping[str, Any]]", row.get(name) or [])
