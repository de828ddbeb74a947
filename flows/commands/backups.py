"""``lead-cleanup backups``: which there are, whether they are whole, and taking data out of them."""

from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from typing import Annotated

from cyclopts import Parameter

from flows.console.settings import close_settings
from flows.console.show import aligned
from flows.console.terminal import Usage, put, say
from tasks.backup.archive import Archive, archives
from tasks.backup.forget import forget as forget_lead
from tasks.backup.prune import prune as prune_backups
from tasks.runs.outcomes import Outcome, Refused, Stop

COLUMNS = ("run", "organisation", "made", "kept until", "leads")
DAY = "%Y-%m-%d"
REFUSED = Outcome.REFUSED.exit_code


def backups(
    run: Annotated[str | None, Parameter(help="Id of a run: only its backup. Without it, all of them.")] = None,
    /,
    *,
    verify: Annotated[
        bool,
        Parameter(
            negative=(),
            show_default=False,
            help="Read them to their end, and say of each whether it is what its manifest vouches for.",
        ),
    ] = False,
    prune: Annotated[bool, Parameter(negative=(), show_default=False, help="Delete those whose time is over.")] = False,
    forget: Annotated[
        str | None,
        Parameter(
            help="A lead id, or an e-mail address: take this lead, or every lead with a contact of that address, out "
            "of them for good."
        ),
    ] = None,
) -> int:
    """List the backups at CLOSE_BACKUP_URL, after what the flags say was done."""
    if forget is not None and not ("@" in forget or forget.startswith("lead_")):
        raise Usage(f"--forget {forget}: write the id of a lead (lead_…), or an e-mail address.")
    known = close_settings()
    kept = timedelta(days=known.backup_days)
    try:
        if prune:
            _prune(known.backup_url, kept)
        found = _found(known.backup_url, run)
        problems = [] if forget is None else _forget(found, forget)
        problems += _list(known.backup_url, found, verify=verify)
    except Stop as error:
        say(str(error))
        return error.outcome.exit_code
    for problem in problems:
        say(problem)
    return REFUSED if problems else 0


def _found(url: str, run: str | None) -> list[Archive]:
    found = [each for each in archives(url) if run is None or each.url.endswith(f"/{run}")]
    if run is not None and not found:
        raise Refused(f"There is no backup of run {run} at {url}.")
    return found


def _prune(url: str, kept: timedelta) -> None:
    gone = prune_backups(url, None, datetime.now(UTC), kept)
    put(f"Deleted {len(gone)} old backups.")


def _forget(found: Sequence[Archive], whom: str) -> list[str]:
    """Take *whom* out of what was *found*; gives what stood in the way, as sentences."""
    leads, problems = 0, list[str]()
    for archive in found:
        try:
            leads += forget_lead(archive, whom, datetime.now(UTC))
        except Stop as error:
            problems.append(f"Not forgotten: {error}")
    put(f"Forgotten: {leads} leads.")
    return problems


def _list(url: str, found: Sequence[Archive], *, verify: bool) -> list[str]:
    problems: list[str] = []
    rows = [row for each in found if (row := _row(each, problems, verify=verify))]
    if rows:
        put("\n".join(aligned([(*COLUMNS, "whole") if verify else COLUMNS, *rows])))
    elif not problems:
        put(f"There is no backup at {url}.")
    return problems


def _row(archive: Archive, problems: list[str], *, verify: bool) -> tuple[str, ...] | None:
    """What the list says of *archive*. What is wrong with it becomes one of the *problems*."""
    if not archive.files():
        return None
    try:
        if not archive.is_there:
            say(f"{archive.url} is no backup: a run that has died left something there, or one is writing it.")
            return None
        manifest = archive.manifest
        row = (
            manifest.flow_run_id,
            manifest.organization_id,
            f"{manifest.made_at:{DAY}}",
            f"{manifest.keep_until:{DAY}}",
            f"{manifest.leads:,}",
        )
    except Stop as error:
        problems.append(str(error))
        return None
    if not verify:
        return row
    try:
        archive.verify()
    except Stop as error:
        problems.append(str(error))
        return (*row, "no")
    return (*row, "yes")
