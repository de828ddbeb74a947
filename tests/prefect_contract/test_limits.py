"""What "one at a time" rests on: a global concurrency limit that is asked for strictly.

Each test says in its assertion what of ours would break.
"""

from uuid import uuid4

import pytest
from prefect.client.orchestration import SyncPrefectClient
from prefect.client.schemas.actions import GlobalConcurrencyLimitCreate
from prefect.concurrency.asyncio import ConcurrencySlotAcquisitionError
from prefect.concurrency.sync import concurrency

pytestmark = [
    pytest.mark.server,
    pytest.mark.exhaustive,
    pytest.mark.xdist_group("prefect_contract"),
    pytest.mark.usefixtures("here"),
]


def entered(limit: str, seconds: float = 30) -> bool:
    """Whether there is a slot within that time, in which a busy server must also answer; it is given back at once."""
    try:
        with concurrency(limit, strict=True, timeout_seconds=seconds):
            return True
    except TimeoutError:
        return False


def test_a_limit_that_is_missing_lets_nobody_in() -> None:
    """Rests on it: a limit that somebody deleted stops runs; it doesn't let all of them start at once."""
    try:
        let_in = entered(f"missing-{uuid4()}")
    except ConcurrencySlotAcquisitionError:
        return
    raise AssertionError(
        f"A limit that doesn't exist raised nothing, and {'let' if let_in else 'did not let'} us in: asking strictly "
        "is no longer enough, and runs could start at the same time."
    )


def test_a_slot_that_is_held_keeps_others_out_until_it_is_left(prefect: SyncPrefectClient) -> None:
    """Rests on it: two runs in one organisation don't both find it idle and both start a bulk delete."""
    limit = f"close-{uuid4()}"
    prefect.create_global_concurrency_limit(GlobalConcurrencyLimitCreate(name=limit, limit=1))

    with concurrency(limit, strict=True):
        in_the_meantime = entered(limit, seconds=1)

    assert not in_the_meantime, "A slot that is held doesn't keep others out: two runs could start at the same time."
    assert entered(limit), "A slot isn't given back on leaving: after one run, every later one would wait in vain."
