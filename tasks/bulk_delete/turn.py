"""The organisation's turn: of all runs on this Prefect server, one at a time starts."""

import logging
from collections.abc import Generator
from contextlib import ExitStack, contextmanager, suppress

from prefect.client.schemas.actions import GlobalConcurrencyLimitCreate
from prefect.concurrency.asyncio import ConcurrencySlotAcquisitionError
from prefect.concurrency.sync import concurrency
from prefect.exceptions import ObjectAlreadyExists, ObjectNotFound, PrefectHTTPStatusError

from tasks.runs.connect import PREFECT_ERRORS, prefect, prefect_error
from tasks.runs.outcomes import Refused

logger = logging.getLogger(__name__)

TURN_SECONDS = 60
"""The lease of a turn, the shortest that Prefect allows: whoever holds it may be killed."""
PATIENCE_SECONDS = 240.0
"""How long to wait for a turn: longer than a lease, and than a start that has to search for its bulk delete."""


@contextmanager
def turn(organization_id: str) -> Generator[None]:
    """Hold the organisation's turn: of all runs on this Prefect server, one at a time looks, claims and starts.

    A global concurrency limit of 1, created on first use. Never held during a bulk delete. Losing the lease doesn't end
    the block: the turn only spares runs each other's refusals, the ledger is what keeps them from starting twice.
    Raises `Refused` if the turn doesn't come, or is switched off.
    """
    name = f"lead-cleanup-{organization_id}"
    _prepare(name)
    slot = concurrency(
        name,
        strict=True,
        timeout_seconds=PATIENCE_SECONDS,
        lease_duration=TURN_SECONDS,
        raise_on_lease_renewal_failure=False,
    )
    held = ExitStack()
    try:
        held.enter_context(slot)
    except TimeoutError:
        raise Refused(
            f"Another run has held the concurrency limit {name} for {PATIENCE_SECONDS / 60:.0f} minutes. If none is "
            f"starting, its slot was left behind when the Prefect server restarted: `prefect gcl update {name} "
            "--active-slots 0` frees it."
        ) from None
    except (ConcurrencySlotAcquisitionError, *PREFECT_ERRORS) as error:
        raise prefect_error(error) from error
    try:
        yield
    finally:
        try:
            held.close()
        except PREFECT_ERRORS as error:
            logger.warning("Could not release the concurrency slot; its lease expires in a minute: %r", error)


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
            f"{'' if found.active else ' and inactive'}. `prefect gcl update {name} --limit 1 --enable` sets it right."
        )
