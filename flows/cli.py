"""The command line: ``lead-cleanup demo``, ``run``, ``resume``, ``stop`` and the rest.

Commands are imported when they are called, and Prefect when a flow is about to run: help appears at once.
"""

import re
import sys
from collections.abc import Sequence
from typing import NoReturn

from cyclopts import App, CycloptsError, Group

from flows.console.streams import survive_without_reader
from flows.console.terminal import INTERRUPTED, WRONG_USAGE, Usage, say, typed


def _version() -> str:
    from importlib.metadata import version

    return version("close-lead-cleanup")


app = App(
    name="lead-cleanup",
    help="Keep a Close CRM clean: plan, check, delete once, verify, record. Nothing is deleted unless you say so.",
    help_flags=["--help", "-h"],
    version_flags=["--version"],
    version=_version,
    suppress_keyboard_interrupt=False,  # call() says what it means
    help_format="plaintext",  # for Markdown, importing its parser takes longer than showing the help
)
COMMANDS = {
    "demo": """Clean up a made-up organisation on this machine.

    Starts a stand-in for Close, plans, deletes, and shows the report: everything a cleanup does, in under a minute.
    Reads no settings of yours, talks to no server but its own, and removes what it made.""",
    "doctor": """Find out what works with your Close; read-only.

    Tries the key, the role, every rule, Smart Views, the list of bulk deletes, and the Prefect server that is set.
    Takes about half a minute, since Close allows two searches a second. Exits with 0 if a cleanup with the default
    rules would work, and with 1 if not.""",
    "sandbox": "Serve a stand-in for Close on this machine.",
    "query": """Print the query that a cleanup would send to Close.

    Asks Close only for the names that the criteria use; without names it needs no key.""",
    "run": """Plan a cleanup, and with --no-dry-run delete what it shows.

    Criteria come from a deployment in prefect.yaml, from flags, or from both: a flag replaces that field of the
    deployment, --no- before its name turns it off (--no-keep.open-tasks). A deployment's own dry_run doesn't count.""",
    "resume": """Continue a run that was cancelled, crashed, or stopped waiting.

    A run finds what it has started, resumes it where it is paused, and waits; it starts nothing twice. Runs of
    deployments continue on a worker, others in this process.""",
    "report": """Print how a run ended, as it was recorded then, and exit as it did.

    The reports of all runs of a cleanup are in Prefect, among its artifacts.""",
    "approve": """Approve what a deployed run has planned, or decline it.

    Without a run, lists those that wait, and asks. You approve by the number of leads; another number declines. The
    form in the Prefect UI does the same. A worker continues the run, which plans again: if the plan has grown, or is
    for another query, the run asks again.""",
    "stop": """Stop all cleanups from starting anything, until `lead-cleanup go`.

    That goes for every organisation. Runs that wait for a bulk delete keep waiting; with --running Close is asked to
    pause it.""",
    "go": "Allow cleanups to run again after `lead-cleanup stop`.",
    "restore": """Show what restoring a backup would do, and with --no-dry-run bring its leads back.

    Leads, contacts, opportunities, tasks, notes, calls and SMS are created with new ids; nothing is sent to anybody.
    A restore that was interrupted continues when it is run again, and creates nothing twice.""",
    "ledger": """List the runs that have claimed a bulk delete and are not known to have ended.

    While there is one, no other live run starts in its organisation.""",
    "backups": """List and check the backups of what was deleted, and delete people's data from them.

    Reads and changes what is stored at CLOSE_BACKUP_URL, and doesn't ask Close. --prune asks the Prefect server, if one
    is set, which backups are still needed. In a bucket --prune and --forget need it, since it keeps the locks.""",
}
"""The commands with their help. It is kept here, and not with the functions, so that listing it imports nothing."""

EXIT_CODES = (
    "Exit codes: 0 done or nothing to do, 1 failed, 2 wrong usage, 3 refused and nothing deleted, 4 Close is still "
    "deleting, 5 unknown whether Close deletes, 6 cancelled or suspended."
)
END_AS_RUNS_DO = {"run", "resume", "report", "restore"}
TAKE_CRITERIA = {"run", "query"}
LAST = Group("This run", sort_key=4)
"""Below the groups of the criteria."""

for name, text in COMMANDS.items():
    module = "stop" if name == "go" else name
    paragraphs = [" ".join(paragraph.split()) for paragraph in text.split("\n\n")]
    app.command(
        f"flows.commands.{module}:{name}",
        name=name,
        help="\n\n".join(paragraphs),
        help_epilogue=EXIT_CODES if name in END_AS_RUNS_DO else None,
        group_parameters=LAST if name in TAKE_CRITERIA else None,
    )


def main(arguments: Sequence[str] | None = None) -> NoReturn:
    """Run one command and exit with its code. What is wrong with its usage is one line on stderr."""
    survive_without_reader()
    sys.exit(call(arguments))


def call(arguments: Sequence[str] | None = None) -> int:
    """Run one command and return its exit code."""
    words = sys.argv[1:] if arguments is None else arguments
    typed.set(list(words))
    try:
        if any(".custom-fields" in word for word in words):
            from flows.console.flags import check_custom_fields

            check_custom_fields(words)
        code: object = app(words, exit_on_error=False, print_error=False, result_action="return_value")
    except CycloptsError as error:
        say(f"{_sentence(error)} See {_help(words)}.")
        return WRONG_USAGE
    except Usage as error:
        say(str(error))
        return WRONG_USAGE
    except KeyboardInterrupt:
        say("Interrupted.")
        return INTERRUPTED
    return code if isinstance(code, int) else 0


def _sentence(error: CycloptsError) -> str:
    """What is wrong, without the name of a Python type that nobody typed."""
    said = re.sub(
        r"for (--\S+): unable to convert (.+) into dict\[.*", r"for \1: write \1.NAME VALUE, or JSON.", str(error)
    )
    said = re.sub(
        r"for (\S+): unable to convert (.+) into bool\.", r"for \1: it takes none; leave the value out.", said
    )
    said = re.sub(r"(?<=Unknown option: )--[^.\s]+\. Did you mean --(?:match|keep)\.(\S+)\?", _both, said)
    return re.sub(r"Unused Tokens: \[(.*)\]\.", r"Too many words: \1.", said)


def _both(found: re.Match[str]) -> str:
    """The suggestion of a flag that is there for what is deleted and for what is protected: never only the opposite."""
    from tasks.criteria.policy import Keep, Match

    if found[1].replace("-", "_") not in Match.model_fields.keys() & Keep.model_fields.keys():
        return found[0]
    before = found[0].partition("Did you mean")[0]
    return f"{before}Did you mean --match.{found[1]}, what is deleted, or --keep.{found[1]}, what is protected?"


def _help(words: Sequence[str]) -> str:
    command = [words[0]] if words and words[0] in app else []
    return " ".join(["lead-cleanup", *command, "--help"])
