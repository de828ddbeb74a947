"""``lead-cleanup backups``: which there are, whether they are whole, and deleting data from them."""

from collections.abc import Iterator, Sequence
from datetime import UTC, datetime, timedelta
from functools import partial
from typing import Annotated

from cyclopts import Parameter

from flows.console.arguments import switch
from flows.console.asking import check_is_meant
from flows.console.settings import check_environment, close_settings
from flows.console.show import table
from flows.console.terminal import Usage, put, say
from tasks.backup.archive import Archive, archive_of, archives
from tasks.backup.folder import Folder
from tasks.backup.forget import forget as forget_lead
from tasks.backup.forget import holds
from tasks.backup.prune import prune as prune_backups
from tasks.backup.prune import unsettled
from tasks.close.settings import CloseSettings
from tasks.runs.outcomes import Outcome, Refused, Stop
from tasks.runs.wording import counted

BY_REPORT = "no report in it says that its run has ended; the ledger may: set PREFECT_API_URL"
COLUMNS = ("run", "organisation", "made", "kept until", "leads", "whole")
DAY = "%Y-%m-%d"


def backups(
    run: Annotated[str | None, Parameter(help="Id of a run, its first eight digits or more: only its backup.")] = None,
    /,
    *,
    verify: Annotated[bool, switch("Read each to its end, and check it against its manifest.")] = False,
    prune: Annotated[bool, switch("Delete those whose time is over.")] = False,
    find: Annotated[
        str | None,
        Parameter(
            help="A lead id, or an e-mail address: list only those with this lead, or a contact of that address."
        ),
    ] = None,
    forget: Annotated[
        str | None,
        Parameter(
            help="A lead id, or an e-mail address: delete this lead, or every lead with a contact of that address, "
            "from them for good."
        ),
    ] = None,
) -> int:
    """List the backups at CLOSE_BACKUP_URL, after doing what the flags ask for."""
    for flag, whom in (("--find", find), ("--forget", forget)):
        if whom is not None and not ("@" in whom or whom.startswith("lead_")):
            raise Usage(f"{flag} {whom}: write the id of a lead (lead_…), or an e-mail address.")
    if prune or forget is not None:
        check_environment()
    settings, now = close_settings(), datetime.now(UTC)
    problems: list[str] = []
    try:
        found = [archive_of(run, settings.backup_url)] if run else archives(settings.backup_url)
        if run and forget is not None:
            check_is_meant(run, found[0].url)
        if (prune or forget is not None) and not Folder.at(settings.backup_url).is_local:
            _check_server(settings.backup_url)
        if prune:
            deleted = _prune(settings, now)
            put(f"Deleted {counted(len(deleted), 'old backup')}.")
            found = [each for each in found if each.url not in deleted]
        if forget is not None:
            found = _forget_in(found, forget, settings.backup_url, problems)
        if find is not None:
            found = _find_in(found, find, settings.backup_url, problems)
    except Stop as error:
        say(str(error))
        return error.exit_code
    rows = list(_rows(found, problems, verify=verify))
    for line in table(rows, *(COLUMNS if verify else COLUMNS[:-1])):
        put(line)
    if not rows and not problems and find is None and forget is None:
        put(f"There is no backup at {settings.backup_url}.")
    for problem in problems:
        say(problem)
    return Outcome.REFUSED.exit_code if problems else 0


def _forget_in(found: Sequence[Archive], whom: str, url: str, problems: list[str]) -> list[Archive]:
    """Delete *whom* from the backups *found*, say from how many, and return these. Raises `Refused` without any."""
    all_there, now = _all_there(found, url, "forgotten"), datetime.now(UTC)
    forgotten = {archive: leads for archive in found if (leads := _forget(archive, whom, now, problems))}
    put(f"Forgotten: {counted(sum(forgotten.values()), 'lead')}, from {len(forgotten)} of {all_there}.")
    return list(forgotten)


def _find_in(found: Sequence[Archive], whom: str, url: str, problems: list[str]) -> list[Archive]:
    """Return the backups *found* that have *whom*, and say how many. Raises `Refused` without any."""
    all_there = _all_there(found, url, "searched")
    holding = [archive for archive in found if _holds(archive, whom, problems)]
    put(f"Found in {len(holding)} of {all_there}.")
    return holding


def _all_there(found: Sequence[Archive], url: str, done: str) -> str:
    """How many backups there are, and where. Without any, an answer about a person would be a false one."""
    if not found:
        raise Refused(f"There is no backup at {url}: is that the worker's CLOSE_BACKUP_URL? Nothing was {done}.")
    return f"{counted(sum(each.is_sealed for each in found), 'backup')} at {url}"


def _check_server(url: str) -> None:
    from tasks.backup.lease import check_server

    check_server(url)


def _prune(settings: CloseSettings, now: datetime) -> list[str]:
    """Delete what has expired, except what a run may still need: by the ledger or, without a server, by its report."""
    from prefect.settings import PREFECT_API_URL

    url, kept = settings.backup_url, timedelta(days=settings.backup_days)
    if not PREFECT_API_URL.value():
        deleted, stayed = prune_backups(url, None, now, kept, partial(unsettled, url), why=BY_REPORT)
    else:
        from tasks.ledger import store

        deleted, stayed = prune_backups(url, None, now, kept, store.runs_with_open_claims)
    for sentence in stayed:
        say(sentence)
    return deleted


def _forget(archive: Archive, whom: str, now: datetime, problems: list[str]) -> int:
    """Delete *whom* from *archive*, and return how many leads that was. A failure becomes one of the *problems*."""
    try:
        return forget_lead(archive, whom, now)
    except Stop as error:
        problems.append(f"Not forgotten: {error}")
        return 0


def _holds(archive: Archive, whom: str, problems: list[str]) -> bool:
    """Whether *archive* has *whom*. A failure becomes one of the *problems*."""
    try:
        if archive.is_sealed:
            return holds(archive, whom)
        if archive.holds_leads():
            raise Refused(f"{archive.url} is no backup: a run that crashed left leads there, or one is writing it.")
    except Stop as error:
        problems.append(f"Not searched: {error}")
    return False


def _rows(found: Sequence[Archive], problems: list[str], *, verify: bool) -> Iterator[tuple[str, ...]]:
    """What the list says of each backup *found*. What is wrong with one becomes one of the *problems*."""
    for archive in found:
        try:
            if archive.is_sealed:
                yield _row(archive, problems, verify=verify)
            elif archive.files():
                say(f"{archive.url} is no backup: a run that crashed left something there, or one is writing it.")
        except Stop as error:
            problems.append(str(error))


def _row(archive: Archive, problems: list[str], *, verify: bool) -> tuple[str, ...]:
    manifest = archive.manifest
    days = [f"{day:{DAY}}" for day in (manifest.made_at, manifest.keep_until)]
    row = (manifest.flow_run_id, manifest.organization_id, *days, f"{manifest.leads:,}")
    if not verify:
        return row
    try:
        archive.verify()
    except Stop as error:
        problems.append(str(error))
        return (*row, "no")
    return (*row, "yes")
