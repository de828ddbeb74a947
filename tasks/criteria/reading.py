"""Our own reading of a lead, as a check of Close's: what a person would conclude from the lead and the criteria.

Close decides by the query. Every exported lead is checked here before anything is deleted. Where Close's tokenizer may
be less strict than the criteria, every planned lead is checked before the export as well: ``name_words`` means whole
words and ``email_domains`` whole domains, and Close doesn't document how it splits text. One contradiction stops the
run. What a lead doesn't show isn't checked: workflows, Smart Views, pasted queries, custom fields.
"""

import re
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from datetime import UTC, datetime, timedelta
from typing import Any, TypeVar, cast

from dateutil.relativedelta import relativedelta

from tasks.criteria.policy import Keep, Match
from tasks.criteria.selection import Criteria
from tasks.criteria.spelling import as_people_write_it, one_form
from tasks.runs.outcomes import Refused
from tasks.runs.wording import counted

Lead = Mapping[str, Any]
"""A lead as Close returns it, with all or some of its fields."""
Contradicts = Callable[[Lead], bool]
"""Whether the fields of a lead contradict a rule."""

FIELDS = ("id", "name", "display_name", "contacts")
TOKENIZED = {"match.name_words", "match.email_domains", "keep.email_domains"}
"""The rules that are checked before the export. They need *FIELDS*."""
EXAMPLES = 5

L = TypeVar("L", bound=Lead)


def must_check_before_export(criteria: Criteria) -> bool:
    """Whether the planned leads have to be checked before the export."""
    return not TOKENIZED.isdisjoint(contradictions(criteria))


def check_leads(leads: Sequence[Lead], criteria: Criteria) -> None:
    """Raise `Refused`, with ids and without names, if a planned lead contradicts a rule or can't be checked."""
    rules = {rule: each for rule, each in contradictions(criteria).items() if rule in TOKENIZED}
    shown = [_shows_name if rule == "match.name_words" else _shows_contacts for rule in rules]
    if unreadable := [str(lead["id"]) for lead in leads if not all(each(lead) for each in shown)]:
        raise Refused(
            f"Close returned {counted(len(unreadable), 'planned lead')} without name or contacts, so they can't be "
            f"checked: {', '.join(unreadable[:EXAMPLES])}. Try again."
        )
    for _ in _checked(leads, rules, "planned"):
        pass


def agreeing(leads: Iterable[dict[str, Any]], criteria: Criteria) -> Iterator[dict[str, Any]]:
    """Yields the leads it is given. Raises `Refused` after the last, with ids, if any of them contradict a rule."""
    return _checked(leads, contradictions(criteria), "exported")


def _checked(leads: Iterable[L], rules: Mapping[str, Contradicts], which: str) -> Iterator[L]:
    ids: dict[str, list[str]] = {rule: [] for rule in rules}
    for lead in leads:
        for rule, contradicts in rules.items():
            if contradicts(lead):
                ids[rule].append(str(lead["id"]))
        yield lead
    problems = [
        f"{counted(len(wrong), 'lead contradicts', 'leads contradict')} {rule} ({', '.join(wrong[:EXAMPLES])})"
        for rule, wrong in ids.items()
        if wrong
    ]
    if problems:
        raise Refused(
            f"A second check of the {which} leads found that {'; '.join(problems)}. Nothing was deleted: check "
            "them, and add those to keep to keep.lead_ids."
        )


def contradictions(criteria: Criteria) -> dict[str, Contradicts]:
    """How a lead can contradict the criteria, by the name of the rule."""
    return dict([*_of_match(criteria.match, criteria.as_of), *_of_keep(criteria.keep, criteria.as_of)])


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
        yield "match.name_words", lambda lead: _shows_name(lead) and not has_word(lead, words)
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
    shown = {lead.get("status_id"), one_form(str(lead.get("status_label") or ""))}
    return not shown.isdisjoint(map(one_form, labels))


def _spoken_to_or_created(lead: Lead, instant: datetime) -> bool:
    if "last_communication_date" not in lead:
        return False
    return _is_since(lead, "last_communication_date" if lead["last_communication_date"] else "date_created", instant)


def _is_since(lead: Lead, name: str, instant: datetime) -> bool:
    """Whether the lead's field *name* is *instant* or later. A date without a time is the beginning of that day."""
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


def _shows_name(lead: Lead) -> bool:
    return bool({"name", "display_name"} & lead.keys())


def _shows_contacts(lead: Lead) -> bool:
    return isinstance(lead.get("contacts"), list)


def has_word(lead: Lead, words: Sequence[str]) -> bool:
    """Whether one of *words* (lower case) is a whole word of the lead's name."""
    name = lead["name"] if "name" in lead else lead.get("display_name")
    composed = one_form(str(name or ""))  # a combining accent would end a word
    return not set(words).isdisjoint(re.findall(r"\w+", composed.lower()))


def has_domain(lead: Lead, domains: Sequence[str]) -> bool:
    """Whether a contact has an e-mail address at one of *domains* (as `domain_of` writes them), not at a subdomain."""
    emails = [email for contact in _rows(lead, "contacts") for email in _rows(contact, "emails")]
    shown = (as_people_write_it(str(each.get("email", "")).rpartition("@")[2]) for each in emails)
    return not set(domains).isdisjoint(shown)
