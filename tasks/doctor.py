"""What works with this organisation's Close: a look that changes nothing there, one finding at a time.

Close's documentation leaves open which fields, conditions and permissions an organisation accepts. Each rule of `Match`
and `Keep` is tried by counting, and the numbers are checked: all leads are those that a rule selects and those that it
doesn't. Everything sent is a read; counts are ``POST /data/search/`` without rows.
"""

from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime
from enum import StrEnum
from zoneinfo import ZoneInfo

from tasks.backup.place import try_place
from tasks.close.client import CloseClient
from tasks.close.errors import BadRequest, CloseError, MissingKey, WrongKey
from tasks.close.query.nodes import Query, to_json
from tasks.close.resources import CustomField
from tasks.close.settings import CloseSettings
from tasks.criteria.names import Names
from tasks.criteria.policy import Keep, Match
from tasks.criteria.rules import keep_rules, match_clauses
from tasks.criteria.selection import Selection
from tasks.plan.account import Account, Needed, survey
from tasks.runs.outcomes import Refused

ZONE = ZoneInfo("UTC")
NO_LEAD = "lead_" + "0" * 43


class Mark(StrEnum):
    """How a finding turned out."""

    GOOD = "✓"
    BAD = "✗"
    NOTE = "!"


@dataclass(frozen=True)
class Finding:
    """One thing that was looked at. Cleanups with the default rules need what is *essential*."""

    mark: Mark
    about: str
    text: str
    essential: bool = False


def works(findings: list[Finding]) -> bool:
    """Whether a cleanup with the default rules would work."""
    return not any(finding.essential and finding.mark is Mark.BAD for finding in findings)


def examine(settings: CloseSettings) -> Iterator[Finding]:
    """Look at everything, from the key on; ends early where nothing more can be found out. *settings* hold a key.

    Raises nothing for what Close or the network does: that is a finding.
    """
    kind = "API key" if settings.api_key else "access token"
    pinned = settings.organization_id or "not pinned (CLOSE_ORGANIZATION_ID would refuse the key of another one)"
    yield Finding(Mark.GOOD, "settings", f"{kind}; {settings.api_url}; organisation {pinned}")
    if settings.api_key_block:
        yield Finding(Mark.NOTE, "settings", f"runs use the key in the block {settings.api_key_block!r} instead")
    yield _backups(settings.backup_url)
    with CloseClient(settings) as close:
        try:
            here = survey(close, Needed.all(settings.keep_smart_view))
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
        yield Finding(Mark.NOTE, "rate limits", limits or "Close tells none")


def _backups(url: str) -> Finding:
    try:
        try_place(url)
    except Refused as error:
        return Finding(Mark.BAD, "backups", error.message, essential=True)
    return Finding(Mark.GOOD, "backups", f"can be written from here: {url}")


# --- who and what -----------------------------------------------------------------------------------------------------


def _permissions(here: Account) -> Iterator[Finding]:
    user = here.user
    yield Finding(Mark.GOOD, "key", f"works: {user.email or user.id}, role {here.role}, in {here.organization.name}")
    for note in here.notes:
        yield Finding(Mark.NOTE, "permissions", note)
    if here.may_delete:
        text = "nothing is known against it; for certain Close says it only when asked"
        yield Finding(Mark.NOTE, "bulk delete", text)
    else:
        text = (
            f"not with this key (role {here.role}), but dry runs work; use the key of a user who may, such as an admin"
        )
        yield Finding(Mark.BAD, "bulk delete", text, essential=True)
    granted = here.membership.permissions_granted
    if granted is None:
        yield Finding(Mark.NOTE, "export", "Close doesn't tell this user's permissions")
    elif "export" in granted:
        yield Finding(Mark.GOOD, "export", "allowed")
    else:
        text = "not among this user's permissions; a run that can't take its backup deletes nothing"
        yield Finding(Mark.NOTE, "export", text)


def _names(names: Names) -> Iterator[Finding]:
    labels = ", ".join(status.label for status in names.statuses)
    yield Finding(Mark.GOOD, "lead statuses", f"{len(names.statuses)}: {labels}")
    fields = ", ".join(f"{field.name} ({field.type})" for field in names.custom_fields)
    yield Finding(Mark.GOOD, "custom fields", f"{len(names.custom_fields)}{': ' if fields else ''}{fields}")
    views = names.smart_views
    yield Finding(Mark.GOOD, "Smart Views", f"{len(views)} for leads")
    counted = Counter(view.name for view in views)
    troubles = {
        "legacy text views, which can't be used": [view.name for view in views if view.s_query is None],
        "views that depend on the user, which can't be used": [view.name for view in views if view.is_user_dependent],
        "names that several views bear; use their ids": [name for name, number in counted.items() if number > 1],
    }
    for trouble, found in troubles.items():
        if found:
            yield Finding(Mark.NOTE, "Smart Views", f"{trouble}: {', '.join(found)}")


# --- rules ------------------------------------------------------------------------------------------------------------


def _rules(close: CloseClient, names: Names) -> Iterator[Finding]:
    """Each rule with what it selects, and whether the rest is what is left."""
    now = datetime.now(UTC)
    try:
        total = close.count(to_json(Selection(keep={}, as_of=now).matched()))
    except CloseError as error:
        yield Finding(Mark.BAD, "counting", str(error), essential=True)
        return
    yield Finding(Mark.GOOD, "leads", f"{total:,}")
    for rule, query in (*_keep(names, now).items(), *_match(names, now).items()):
        yield _tried(close, rule, Selection(keep={rule: query}, as_of=now), total)
    if names.keep_view:
        yield _never_delete(close, names, now, total)


def _keep(names: Names, now: datetime) -> dict[str, Query]:
    plain = Names(statuses=names.statuses, custom_fields=names.custom_fields)
    every = Keep(
        open_tasks=True,
        status=[each.id for each in names.statuses[:1]] or None,
        lead_ids=[NO_LEAD],
        email_domains=["example.com"],
        custom_fields=_custom_field(names),
    )
    return {f"keep.{rule}": query for rule, query in keep_rules(every, plain, now, ZONE).items()}


def _match(names: Names, now: datetime) -> dict[str, Query]:
    """Those of `Match` that no rule of `Keep` asks in the same way."""
    tried = {
        "inactive_months": Match(inactive_months=12),
        "never_communicated": Match(never_communicated=True),
        "created_before_months": Match(created_before_months=12),
        "without_contacts": Match(without_contacts=True),
        "unreachable": Match(unreachable=True),
        "name_words": Match(name_words=["test"]),
    }
    return {f"match.{rule}": match_clauses(match, names, now, ZONE)[0] for rule, match in tried.items()}


def _custom_field(names: Names) -> dict[str, list[str | int | float | bool]] | None:
    """A custom field that can be tried without knowing its values, with one."""
    values = {field.id: value for field in names.custom_fields if (value := _some_value(field)) is not None}
    return {field: [value] for field, value in list(values.items())[:1]} or None


def _some_value(field: CustomField) -> str | int | None:
    match field.type:
        case "choices":
            return field.choices[0] if field.choices else None
        case "text" | "textarea" | "hidden":
            return "x"
        case "number":
            return 0
        case _:
            return None


def _tried(close: CloseClient, rule: str, selection: Selection, total: int) -> Finding:
    essential = _on_by_default(rule)
    bad = Mark.BAD if essential else Mark.NOTE
    try:
        kept = close.count(to_json(selection.kept(rule)))
        others = close.count(to_json(selection.planned()))
        if kept + others != total:  # leads may have changed since
            total = close.count(to_json(selection.matched()))
    except BadRequest as error:
        return Finding(bad, rule, f"rejected: {error} {_remedy(rule)}", essential)
    except CloseError as error:
        return Finding(bad, rule, str(error), essential)
    if kept + others != total:
        text = f"doesn't divide the leads: {kept:,} and the {others:,} others are not {total:,}. {_remedy(rule)}"
        return Finding(bad, rule, text, essential)
    return Finding(Mark.GOOD, rule, f"{kept:,} leads, {others:,} others", essential)


def _on_by_default(rule: str) -> bool:
    model, _, name = rule.partition(".")
    return model == "keep" and bool(Keep.model_fields[name].default)


def _remedy(rule: str) -> str:
    if _on_by_default(rule):
        return (
            f"Turn it off (--no-{rule.replace('_', '-')}, or in prefect.yaml), and protect these leads in another way."
        )
    return "Don't use it."


def _never_delete(close: CloseClient, names: Names, now: datetime, total: int) -> Finding:
    name = "CLOSE_KEEP_SMART_VIEW"
    try:
        rule = keep_rules(Keep(), names, now, ZONE)["never_delete"]
    except Refused as error:
        problem = error.message.removeprefix(f"{name}: ")
        return Finding(Mark.BAD, name, f"{problem} Nothing runs until this is right.", essential=True)
    kept = Selection(keep={"never_delete": rule}, as_of=now).kept()
    try:
        return Finding(Mark.GOOD, name, f"{close.count(to_json(kept)):,} of {total:,} leads are never deleted")
    except CloseError as error:
        return Finding(Mark.BAD, name, str(error), essential=True)


# --- jobs and events --------------------------------------------------------------------------------------------------


def _bulk_deletes(close: CloseClient) -> Iterator[Finding]:
    try:
        jobs = close.bulk_deletes()
    except CloseError as error:
        yield Finding(
            Mark.BAD, "bulk deletes", f"the list can't be read, so nothing is started: {error}", essential=True
        )
        return
    yield Finding(Mark.GOOD, "bulk deletes", f"{len(jobs)} in the list")
    for job in jobs:
        if not job.finished:
            yield Finding(Mark.NOTE, "bulk deletes", f"{job.id} is {job.status}; no run starts another one meanwhile")


def _events(close: CloseClient) -> Finding:
    try:
        close.newest_event()
    except CloseError as error:
        return Finding(Mark.NOTE, "event log", f"can't be read: {error}")
    return Finding(Mark.GOOD, "event log", "readable; Close keeps what was deleted there for 30 days")
