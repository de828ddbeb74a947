"""``lead-cleanup restore``: restore the leads of a backup, in this process."""

import re
from contextlib import suppress
from typing import Annotated, Literal

from cyclopts import Parameter

from flows.console.arguments import AsJson, switch
from flows.console.executing import execute
from flows.console.settings import settings_with_key
from flows.console.terminal import Usage
from tasks.backup.folder import Folder
from tasks.close.ids import LEAD_ID
from tasks.close.settings import without_password
from tasks.runs.outcomes import Refused

NEEDS_SERVER = "Restoring from a bucket needs a Prefect server, which keeps the backup's lock."


def restore(
    backup: Annotated[
        str,
        Parameter(
            help="Address of the backup's folder, or the id of the flow run that made it, its first eight digits or "
            "more: that backup is looked up in CLOSE_BACKUP_URL."
        ),
    ],
    /,
    *,
    lead: Annotated[
        list[str] | None,
        Parameter(
            negative=(),
            help="Id of a lead to restore, as in the backup. Repeat it for several; without it, all are restored.",
        ),
    ] = None,
    missing: Annotated[
        Literal["stop", "skip"],
        Parameter(
            help="What to do about a status, a user, a custom field or a choice that the organisation lacks: stop "
            "before anything is created, or leave it out."
        ),
    ] = "stop",
    instead: Annotated[
        list[str] | None,
        Parameter(negative=(), help="OLD-ID=NEW-ID: what replaces something that is missing. Repeat it for several."),
    ] = None,
    dry_run: Annotated[
        bool, switch("Plan only, which is the default; --no-dry-run restores.", negative="--no-dry-run")
    ] = True,
    as_json: AsJson = False,
) -> int:
    """Plan, and with --no-dry-run restore. What can be checked without Prefect is checked before it starts."""
    replaced = dict(map(_pair, instead or ()))
    for lead_id in lead or ():
        if not re.fullmatch(LEAD_ID, lead_id):
            raise Usage(f"--lead: {lead_id!r} is not the id of a lead; those begin with lead_.")
    try:
        without_password(backup)
    except ValueError as error:
        raise Usage(f"{backup.partition('://')[0]}://…: {error}.") from None
    settings = settings_with_key(block=True)
    return execute(
        lambda flow: flow.restore(backup=backup, leads=lead or [], dry_run=dry_run, missing=missing, instead=replaced),
        why_server=None if dry_run or _in_folder(backup, settings.backup_url) else NEEDS_SERVER,
        not_done="Nothing was started.",
        as_json=as_json,
    )


def _in_folder(backup: str, root: str) -> bool:
    """Whether *backup*, an address or the id of a run below *root*, is on this machine.

    True for an address that can't be used, since the run itself says what is wrong with it.
    """
    with suppress(Refused):
        return Folder.at(backup if "/" in backup else root).is_local
    return True


def _pair(text: str) -> tuple[str, str]:
    old, _, new = text.partition("=")
    if not old or not new:
        raise Usage(f"--instead: write OLD-ID=NEW-ID; {text!r} is something else.")
    return old, new
