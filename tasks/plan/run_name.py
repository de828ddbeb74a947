"""What Prefect calls a cleanup's run: the cleanup, the mode, and the criteria in a few words."""

from collections.abc import Iterator
from textwrap import shorten

from prefect.runtime import flow_run

from tasks.criteria.policy import Match
from tasks.runs.run import cleanup_of, this_flow_run
from tasks.runs.run_names import mode_of_run, typed_or
from tasks.runs.wording import counted

LONGEST = 80  # characters of the criteria; lists of runs cut off what is longer


def run_name() -> str:
    """As a person has named the current run, or else such as ``junk: dry run: Junk, 12 months``."""
    parameters = flow_run.get_parameters()
    parts = [cleanup_of(this_flow_run()), mode_of_run() or "delete"]
    match parameters.get("match"):
        case Match() as match:
            parts.append(shorten(", ".join(_in_short(match)), LONGEST, placeholder=" …"))
        case _:  # wrong ones, which the run's report speaks of
            pass
    return typed_or(": ".join(parts))


def _in_short(match: Match) -> Iterator[str]:
    yield from match.status or ()
    if match.inactive_months:
        yield counted(match.inactive_months, "month")
    if match.created_before_months:
        yield f"created {counted(match.created_before_months, 'month')} ago"
    for name in ("never_communicated", "without_contacts", "unreachable"):
        if getattr(match, name):
            yield name.replace("_", " ")
    for words in match.name_words, match.email_domains, match.custom_fields:
        yield from words or ()
    if match.smart_view:
        yield match.smart_view
    if match.s_query:
        yield "query"
