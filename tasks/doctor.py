"""What works with this organisation's Close, one finding at a time. Nothing there is changed.

Close's documentation leaves open which fields, conditions and permissions an organisation accepts. Each rule of `Match`
and `Keep` is tried by counting the leads that it selects and those that it doesn't: together they must be all leads.
Everything sent is a read; counts are ``POST /data/search/`` without rows.
"""

from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from enum import StrEnum
from zoneinfo import ZoneInfo

from tasks.backup.place import try_place
from tasks.bulk_delete.find import is_over
from tasks.close.client import CloseClient
from tasks.close.errors import BadRequest, CloseError, MissingKey, WrongKey
from tasks.close.query.nodes import Query, to_json
from tasks.close.settings import CloseSettings
from tasks.criteria.names import Names
from tasks.criteria.policy import Keep, Match
from tasks.criteria.rules import keep_rules, match_clauses
from tasks.criteria.selection import Selection
from tasks.plan.account import Account, Needed, survey
from tasks.runs.outcomes import Refused
from tasks.runs.setup import setup_problem
from tasks.runs.wording import counted

ZONE = ZoneInfo("UTC")
CONNECT_PATIENCE = 3.0  # seconds
NO_LEAD = "lead_" + "0" * 43
DOMAIN, WORD, MONTHS = "example.com", "test", 12
"""What rules are tried with."""


class Mark(StrEnum):
    """Whether a finding is good, must be fixed, should be looked at, or only informs."""

    GOOD = "✓"
    BAD = "✗"
    LOOK = "!"
    INFO = "·"


@dataclass(frozen=True)
class Finding:
    """One thing that was checked. Cleanups with the default rules need what is *essential*."""

    mark: Mark
    about: str
    text: str
    essential: bool = False


def works(findings: list[Finding]) -> bool:
    """Whether a cleanup with the default rules would work."""
    return not any(finding.essential and finding.mark is Mark.BAD for finding in findings)


def is_busy(findings: list[Finding]) -> bool:
    """Whether Close has a bulk delete that isn't over, for which a cleanup would not start."""
    return any(finding.about == "bulk deletes" and finding.mark is Mark.LOOK for finding in findings)


def examine(settings: CloseSettings) -> Iterator[Finding]:
    """Check everything, beginning with the key, without which nothing else can be checked. *settings* hold one.

    Errors of Close or the network are findings, and are not raised.
    """
    kind = "API key" if settings.api_key else "access token"
    pinned = settings.organization_id or "not pinned (set CLOSE_ORGANIZATION_ID to refuse keys of any other)"
    yield Finding(Mark.GOOD, "settings", f"{kind}; {settings.api_url}; organisation {pinned}")
    if settings.api_key_block:
        yield Finding(Mark.INFO, "settings", f"runs use the key in the block {settings.api_key_block!r} instead")
    yield _backups(settings.backup_url)
    if problem := setup_problem():
        yield Finding(Mark.BAD, "network", problem, essential=True)
        return
    yield _prefect()
    with CloseClient(settings, patience=CONNECT_PATIENCE) as close:
        try:
            here = survey(
                close, Needed(statuses=True, custom_fields=True, smart_views=True, keep_view=settings.keep_smart_view)
            )
        except CloseError as error:
            about = "key" if isinstance(error, WrongKey | MissingKey) else "reading"
            yield Finding(Mark.BAD, about, str(error), essential=True)
            return
        yield from _permissions(here)
        yield from _names(here.names)
        yield from _rules(close, here.names)
        yield from _bulk_deletes(close)
        yield _events(close)
        limits = ", ".join(f"{bucket} {seen.limit}" for bucket, seen in close.rate_limits.items())
        yield Finding(Mark.INFO, "rate limits", limits or "Close sent none")


def _backups(url: str) -> Finding:
    try:
        try_place(url)
    except Refused as error:
        return Finding(Mark.BAD, "backups", error.message, essential=True)
    return Finding(Mark.GOOD, "backups", f"can be written from here: {url}")


def _prefect() -> Finding:
    """Whether the Prefect server that is set can be used. It is imported here, since that takes seconds."""
    from prefect.settings import PREFECT_API_URL

    from tasks.runs.connect import PrefectUnavailable, check_prefect

    if not PREFECT_API_URL.value():
        return Finding(Mark.INFO, "Prefect", "no server is set; dry runs don't need one, `make server` starts one")
    try:
        check_prefect()
    except PrefectUnavailable as error:
        return Finding(Mark.BAD, "Prefect", error.message, essential=True)
    return Finding(Mark.GOOD, "Prefect", "the server answers, and accepts the credentials")


# --- who and what -----------------------------------------------------------------------------------------------------


def _permissions(here: Account) -> Iterator[Finding]:
    user = here.user
    yield Finding(Mark.GOOD, "key", f"works: {user.email or user.id}, role {here.role}, in {here.organization.name}")
    for warning in here.warnings:
        yield Finding(Mark.LOOK, "permissions", warning)
    if here.may_delete:
        yield Finding(Mark.INFO, "bulk delete", "no obstacle known; only a real bulk delete shows that Close allows it")
    else:
        text = f"not with this key (role {here.role}), but dry runs work; use the key of a user who may, like an admin"
        yield Finding(Mark.BAD, "bulk delete", text, essential=True)
    granted = here.membership.permissions_granted
    if granted is None:
        yield Finding(Mark.INFO, "export", "Close doesn't list this user's permissions")
    elif "export" in granted:
        yield Finding(Mark.GOOD, "export", "allowed")
    else:
        yield Finding(Mark.LOOK, "export", "not permitted; a run that can't take its backup deletes nothing")


def _names(names: Names) -> Iterator[Finding]:
    views = names.smart_views
    number = Counter(view.name for view in views)
    yield _listed("lead statuses", [status.label for status in names.statuses])
    yield _listed("custom fields", [f"{field.name} ({field.type})" for field in names.custom_fields])
    yield Finding(Mark.GOOD, "Smart Views", f"{len(views):,} for leads")
    problems = {
        "legacy text views, which can't be used": [view.name for view in views if view.s_query is None],
        "views that depend on the user, which can't be used": [view.name for view in views if view.is_user_dependent],
        "names of more than one view; use their ids": [name for name in number if number[name] > 1],
    }
    for problem, affected in problems.items():
        if affected:
            yield Finding(Mark.INFO, "Smart Views", f"{problem}: {', '.join(affected)}")


def _listed(about: str, names: list[str]) -> Finding:
    return Finding(Mark.GOOD, about, f"{len(names):,}{': ' if names else ''}{', '.join(names)}")


# --- rules ------------------------------------------------------------------------------------------------------------


def _rules(close: CloseClient, names: Names) -> Iterator[Finding]:
    """Each rule, with how many leads it selects and how many it doesn't."""
    now = datetime.now(UTC)
    try:
        total = close.count(to_json(Selection(keep={}, as_of=now).matched()))
    except CloseError as error:
        yield Finding(Mark.BAD, "counting", str(error), essential=True)
        return
    yield Finding(Mark.GOOD, "leads", f"{total:,}")
    examples = _examples(names)
    for rule, query in (*_keep(names, now).items(), *_match(names, now).items()):
        yield _tried(close, rule, Selection(keep={rule: query}, as_of=now), total, examples.get(rule, ""))
    if names.keep_view:
        yield _never_delete(close, names, now, total)


def _keep(names: Names, now: datetime) -> dict[str, Query]:
    every = Keep(
        open_tasks=True,
        status=[each.id for each in names.statuses[:1]] or None,
        lead_ids=[NO_LEAD],
        email_domains=[DOMAIN],
        custom_fields=_custom_field(names),
    )
    rules = keep_rules(every, replace(names, keep_view=None), now, ZONE)
    return {f"keep.{rule}": query for rule, query in rules.items()}


def _match(names: Names, now: datetime) -> dict[str, Query]:
    """The rules of `Match` that send a query which no rule of `Keep` sends."""
    tried = {
        "inactive_months": Match(inactive_months=MONTHS),
        "never_communicated": Match(never_communicated=True),
        "created_before_months": Match(created_before_months=MONTHS),
        "without_contacts": Match(without_contacts=True),
        "unreachable": Match(unreachable=True),
        "name_words": Match(name_words=[WORD]),
    }
    return {f"match.{rule}": match_clauses(match, names, now, ZONE)[0] for rule, match in tried.items()}


def _examples(names: Names) -> dict[str, str]:
    """What a rule is tried with, where its number would say nothing without that."""
    fields = {field.id: field.name for field in names.custom_fields}
    custom = [f"{fields[id_]} {value}" for id_, (value, *_) in (_custom_field(names) or {}).items()]
    days = ("created_within_days", "communication_within_days")
    return {
        **{f"keep.{name}": f"{Keep.model_fields[name].default} days" for name in days},
        "keep.status": names.statuses[0].label if names.statuses else "",
        "keep.lead_ids": "an id that no lead has",
        "keep.email_domains": DOMAIN,
        "keep.custom_fields": ", ".join(custom),
        "match.inactive_months": f"{MONTHS} months",
        "match.created_before_months": f"{MONTHS} months",
        "match.name_words": WORD,
    }


def _custom_field(names: Names) -> dict[str, list[str | int | float | bool]] | None:
    """The first custom field that can be tried, with a value for it."""
    values = {"text": "x", "textarea": "x", "hidden": "x", "number": 0}
    for field in names.custom_fields:
        value = next(iter(field.choices or ()), None) if field.type == "choices" else values.get(field.type)
        if value is not None:
            return {field.id: [value]}
    return None


def _tried(close: CloseClient, rule: str, selection: Selection, total: int, example: str = "") -> Finding:
    essential = _on_by_default(rule)
    bad = Mark.BAD if essential else Mark.LOOK
    try:
        kept = close.count(to_json(selection.kept(rule)))
        others = close.count(to_json(selection.planned()))
        if kept + others != total:  # leads may have changed since
            total = close.count(to_json(selection.matched()))
    except BadRequest as error:
        return Finding(bad, rule, f"rejected: {error} {_remedy(rule)}", essential)
    except CloseError as error:
        return Finding(bad, rule, str(error), essential)
    selects = f"{example and f'{example}: '}{counted(kept, 'lead')}, {counted(others, 'other')}"
    if kept + others != total:
        text = f"doesn't divide the leads: {selects}, but {total:,} in all. {_remedy(rule)}"
        return Finding(bad, rule, text, essential)
    return Finding(Mark.GOOD, rule, selects, essential)


def _on_by_default(rule: str) -> bool:
    model, _, name = rule.partition(".")
    return model == "keep" and bool(Keep.model_fields[name].default)


def _remedy(rule: str) -> str:
    if not _on_by_default(rule):
        return "Don't use it."
    return f"Turn it off (--no-{rule.replace('_', '-')}, or in prefect.yaml), and protect these leads in another way."


def _never_delete(close: CloseClient, names: Names, now: datetime, total: int) -> Finding:
    name = "CLOSE_KEEP_SMART_VIEW"
    try:
        rule = keep_rules(Keep(), names, now, ZONE)["never_delete"]
    except Refused as error:
        problem = error.message.removeprefix(f"{name}: ")
        return Finding(Mark.BAD, name, f"{problem} No cleanup runs until this is fixed.", essential=True)
    kept = Selection(keep={"never_delete": rule}, as_of=now).kept()
    try:
        return Finding(Mark.GOOD, name, f"{close.count(to_json(kept)):,} of {counted(total, 'lead')} are never deleted")
    except CloseError as error:
        return Finding(Mark.BAD, name, str(error), essential=True)


# --- jobs and events --------------------------------------------------------------------------------------------------


def _bulk_deletes(close: CloseClient) -> Iterator[Finding]:
    try:
        jobs = close.bulk_deletes()
    except CloseError as error:
        text = f"the list can't be read, so no cleanup can start: {error}"
        yield Finding(Mark.BAD, "bulk deletes", text, essential=True)
        return
    yield Finding(Mark.GOOD, "bulk deletes", f"{len(jobs):,} in the list")
    for job in jobs:
        if not is_over(job):
            yield Finding(Mark.LOOK, "bulk deletes", f"{job.id} is {job.status}; no cleanup starts until it is over")


def _events(close: CloseClient) -> Finding:
    try:
        close.newest_event()
    except CloseError as error:
        return Finding(Mark.LOOK, "event log", f"can't be read: {error}")
    return Finding(Mark.GOOD, "event log", "readable; Close keeps what was deleted there for 30 days")
