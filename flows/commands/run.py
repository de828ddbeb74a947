"""``lead-cleanup run``: one cleanup, now, in this process."""

from typing import Annotated

from cyclopts import Parameter

from flows.console.arguments import AsJson, switch, whole_number
from flows.console.flags import Given, with_criteria
from flows.console.terminal import say

NEEDS_SERVER = "Deleting needs a Prefect server, which keeps the record of what was started."


@with_criteria
def run(
    given: Given,
    cleanup: Annotated[str | None, Parameter(help="Name of a deployment in prefect.yaml; flags override it.")] = None,
    /,
    *,
    dry_run: Annotated[bool, switch("Plan only, the default; --no-dry-run deletes.", negative="--no-dry-run")] = True,
    approval: Annotated[
        str | None,
        Parameter(help="Ask first: always (the default at a terminal), never, or 'above 100'."),
    ] = None,
    backup: Annotated[
        bool | None,
        switch(
            "Export the planned leads first, the default; --no-backup doesn't.",
            negative="--no-backup",
        ),
    ] = None,
    expect: Annotated[
        int | None, Parameter(converter=whole_number, help="Stop unless exactly this many leads are planned.")
    ] = None,
    sample: Annotated[
        int | None, Parameter(converter=whole_number, help="How many planned leads to show by name. 25 by default.")
    ] = None,
    time_zone: Annotated[str | None, Parameter(help="Where days begin, for local dates in queries.")] = None,
    as_json: AsJson = False,
) -> int:
    """Plan, and with --no-dry-run delete. What can be checked without Prefect is checked before it starts.

    A person at the terminal is asked before anything is deleted, unless a flag says what they expect.
    """
    from flows.console.asking import somebody_is_there
    from flows.console.executing import execute
    from flows.console.parameters import build
    from flows.console.settings import settings_with_key

    if not dry_run and expect is None and approval is None and somebody_is_there():
        approval = "always"
    asked = {"dry_run": dry_run, "approval": approval, "backup": backup, "expect": expect, "sample": sample}
    parameters, notes, deployed = build(given, cleanup, **asked, time_zone=time_zone)
    settings = settings_with_key(block=True)
    for note in notes:
        say(f"Note: {note}")
    why_server = None if dry_run or settings.on_this_machine else NEEDS_SERVER
    return execute(
        lambda execution: execution.run(parameters, cleanup, deployed),
        why_server=why_server,
        not_done="Nothing was started.",
        as_json=as_json,
    )
