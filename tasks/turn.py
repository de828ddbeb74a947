"""Whether it is a run's turn: nothing is stopped, it is not too late, it isn't tried for ever, and it starts alone."""

from collections.abc import Generator, Sequence
from contextlib import ExitStack, contextmanager, suppress
from datetime import UTC, datetime, timedelta
from typing import Any

from prefect import get_run_logger, task
from prefect.cache_policies import NO_CACHE
from prefect.client.schemas.actions import GlobalConcurrencyLimitCreate
from prefect.client.schemas.objects import State
from prefect.concurrency.asyncio import ConcurrencySlotAcquisitionError
from prefect.concurrency.sync import concurrency
from prefect.exceptions import ObjectAlreadyExists, ObjectNotFound, PrefectHTTPStatusError

from tasks import stopping
from tasks.connect import PREFECT_ERRORS, PrefectAway, prefect
from tasks.outcomes import Outcome, Refused, Stop
from tasks.policy import Limits
from tasks.record import Record
from tasks.run import Run, ended_before, last_asked, tries_by_automation

MOST_TRIES = 5
"""How often in a row an automation may have a run tried again before a person must look."""
TURN_SECONDS = 60
"""How long a turn that nobody renews is kept; Prefect keeps none for less. Its holder may have been killed."""
PATIENCE_SECONDS = 240.0
"""How long to wait for a turn: longer than one that was left behind, and than a start that has to look for long."""


@task(retries=0, cache_policy=NO_CACHE, persist_result=False)
def check_turn(run: Run, record: Record | None, limits: Limits) -> None:
    """Raise `Stop` if this attempt of *run* is not to go on. *record* is what an earlier attempt has written down."""
    claimed = None if record is None or record.plans_anew else record
    states = run.states()
    _check_attempt(states, claimed)
    if claimed is None:
        stopping.check()
        late = lateness(run, tries_by_automation(states), datetime.now(UTC), last_asked(states))
        check_lateness(late, limits.max_late_hours)


@task(retries=0, cache_policy=NO_CACHE, persist_result=False)
def check_attempt(run: Run) -> None:
    """Raise `Stop` if an automation tries a restore again that hadn't crashed, or tries for ever."""
    _check_attempt(run.states(), None)


def _check_attempt(states: Sequence[State[Any]], record: Record | None) -> None:
    check_crashed(ended_before(states), record)
    check_tries(tries_by_automation(states), record)


def check_crashed(ended: State[Any] | None, record: Record | None) -> None:
    """Raise `Stop` if an automation has tried again what had *ended* otherwise than by a crash: it ends so once more.

    What was started is waited for all the same, unless a person has cancelled the run.
    """
    if ended is None or (record and not ended.is_cancelled()):
        return
    outcome = next((each for each in Outcome if each.state_name == ended.name), Outcome.FAILED)
    raise Stop(outcome, ended.message or "This run had ended, and was tried again without anybody asking.")


def check_tries(tries: int, record: Record | None) -> None:
    """Raise `Stop` if an automation has tried again, *tries* times in a row, without getting anywhere."""
    if tries <= MOST_TRIES:
        return
    outcome = Outcome.FAILED if record is None else Outcome.STILL_RUNNING if record.bulk_delete_id else Outcome.UNKNOWN
    raise Stop(
        outcome,
        f"This run has crashed and was tried again {MOST_TRIES} times in a row: see its log for why. Retry it when "
        "that is mended: it starts nothing twice.",
    )


def lateness(run: Run, tries: int, now: datetime, asked: datetime | None = None) -> timedelta:
    """How late *run* is: by its first start; or *now*, if an automation tries it again, maybe after days of outage.

    Then it was due when a person last *asked* for it: an approval may come days after the plan.
    """
    return now - (asked or run.as_of) if tries else run.late


def check_lateness(late: timedelta, max_late_hours: int) -> None:
    """Raise `Stop` (``skipped``) for a run that starts long after it was due, so that no burst follows an outage."""
    if late > timedelta(hours=max_late_hours):
        hours = late.total_seconds() / 3600
        raise Stop(
            Outcome.SKIPPED,
            f"This run begins {hours:.1f} hours after it was due, later than limits.max_late_hours allows "
            f"({max_late_hours}). The next one will do.",
        )


@contextmanager
def turn(organization_id: str) -> Generator[None]:
    """The organisation's turn: of all runs on this Prefect server, one at a time looks, claims and starts.

    Made on first use, as a global concurrency limit of 1. Never held while a bulk delete goes on. Losing it on the way
    doesn't end the block: the turn keeps runs from getting in each other's way, the ledger is what keeps them from
    starting twice. Raises `Refused` when it doesn't come, or is switched off.
    """
    name = f"lead-cleanup-{organization_id}"
    _prepare(name)
    turn = concurrency(
        name,
        strict=True,
        timeout_seconds=PATIENCE_SECONDS,
        lease_duration=TURN_SECONDS,
        raise_on_lease_renewal_failure=False,
    )
    held = ExitStack()
    try:
        held.enter_context(turn)
    except TimeoutError:
        raise Refused(
            f"Another run has held the concurrency limit {name} for {PATIENCE_SECONDS / 60:.0f} minutes. If none is "
            f"starting, its slot was left behind when the Prefect server restarted: `prefect gcl update {name} "
            "--active-slots 0` frees it."
        ) from None
    except (ConcurrencySlotAcquisitionError, *PREFECT_ERRORS) as error:
        raise PrefectAway(error) from error
    try:
        yield
    finally:
        try:
            held.close()
        except PREFECT_ERRORS as error:
            get_run_logger().warning("The turn can't be given back, and runs out in a minute: %r", error)


def _prepare(name: str) -> None:
    with prefect() as server:
        try:
            found = server.read_global_concurrency_limit_by_name(name)
        except ObjectNotFound:
            with suppress(ObjectAlreadyExists, PrefectHTTPStatusError):  # 500, where two create it at once
                server.create_global_concurrency_limit(GlobalConcurrencyLimitCreate(name=name, limit=1))
            found = server.read_global_concurrency_limit_by_name(name)
    if not found.active or found.limit != 1:
        raise Refused(
            f"The concurrency limit {name} must be active and 1; it is {found.limit}"
            f"{'' if found.active else ' and inactive'}. `prefect gcl update {name} --limit 1 --enable` mends it."
        )
