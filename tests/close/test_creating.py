"""Making leads and what belongs to them: sent once, unless Close can't have accepted it."""

from collections.abc import Iterator
from datetime import UTC, datetime, timedelta

import pytest
from support.close_account import CloseAccount
from support.fake_clock import FakeClock

from tasks.close.client import CloseClient
from tasks.close.errors import BadRequest, CloseUnavailable
from tasks.close.resources import Kind
from tasks.close.settings import CloseSettings

LONG_AGO = datetime.now(UTC) - timedelta(days=20)


@pytest.fixture
def hours() -> FakeClock:
    return FakeClock()


@pytest.fixture
def close(sandbox: CloseAccount, hours: FakeClock) -> Iterator[CloseClient]:
    with CloseClient(CloseSettings(), sleep=hours.sleep, clock=hours, random=lambda: 0.5) as client:
        yield client


KINDS: dict[Kind, dict[str, object]] = {
    "opportunity": {"note": "Big", "value": 100},
    "task": {"_type": "outgoing_call", "text": "Call"},
    "note": {"note": "Hm"},
    "call": {"note": "Spoke", "source": "External"},
    "sms": {"text": "Hi", "status": "draft"},
}


@pytest.mark.parametrize("kind", KINDS)
def test_what_is_made_for_a_lead_is_found_among_what_belongs_to_it(close: CloseClient, kind: Kind) -> None:
    lead_id = close.create("lead", {"name": "X", "contacts": [{"name": "Ann"}]})["id"]

    made = close.create(kind, {"lead_id": lead_id, **KINDS[kind]})

    assert [each["id"] for each in close.belonging_to(lead_id, kind)] == [made["id"]]
    assert KINDS[kind].items() <= made.items()


def test_a_lead_that_is_not_there_is_none(sandbox: CloseAccount, close: CloseClient) -> None:
    lead_id = close.create("lead", {"name": "X"})["id"]

    assert (close.lead(lead_id) or {})["name"] == "X"
    assert close.lead("lead_gone") is None


def test_the_leads_that_somebody_has_created_are_read_off_the_events_all_of_them(close: CloseClient) -> None:
    """Newest first, over several pages of 50; an update is no creation."""
    me = close.me().id
    made = [close.create("lead", {"name": str(n), "date_created": LONG_AGO.isoformat()})["id"] for n in range(120)]
    middle = close.newest_event()
    assert middle is not None
    made.append(close.create("lead", {"name": "the last"})["id"])

    def created(user_id: str, since: datetime) -> list[str | None]:
        return [event.object_id for event in close.lead_events("created", since, user_id=user_id)]

    assert created(me, LONG_AGO) == made[::-1]
    assert created(me, middle) in (made[-1:], made[:-3:-1])  # one event may have the same instant
    assert created("user_else", LONG_AGO) == []


def test_a_lost_answer_is_not_followed_by_a_second_post(sandbox: CloseAccount, close: CloseClient) -> None:
    sandbox.fault("POST", "/lead/", "drop_after")

    with pytest.raises(CloseUnavailable) as lost:
        close.create("lead", {"name": "X"})

    assert not lost.value.nothing_started
    assert len(sandbox.posts("/lead/")) == 1
    assert len(sandbox.leads()) == 1


def test_an_error_that_proves_nothing_is_not_followed_by_a_second_post(
    sandbox: CloseAccount, close: CloseClient
) -> None:
    sandbox.fault("POST", "/lead/", "status", status=503)

    with pytest.raises(CloseUnavailable):
        close.create("lead", {"name": "X"})

    assert len(sandbox.posts("/lead/")) == 1


def test_a_rate_limit_is_waited_for_as_long_as_close_says(
    sandbox: CloseAccount, close: CloseClient, hours: FakeClock
) -> None:
    sandbox.fault("POST", "/lead/", "rate_limit", times=2, seconds=40)
    began = hours()

    close.create("lead", {"name": "X"})

    assert 80 <= hours() - began < 90
    assert len(sandbox.leads()) == 1


def test_what_close_rejects_was_not_made(close: CloseClient) -> None:
    with pytest.raises(BadRequest) as rejected:
        close.create("lead", {"name": "X", "status_id": "stat_gone"})

    assert rejected.value.nothing_started
    assert rejected.value.names("status_id")


def test_opportunity_statuses_and_custom_fields_are_read(sandbox: CloseAccount, close: CloseClient) -> None:
    size = sandbox.post("/custom_field/contact/", name="size", type="text")["id"]

    assert {each.label for each in close.opportunity_statuses()} == {"Demo Scheduled", "Proposal Sent", "Won", "Lost"}
    assert [each.id for each in close.custom_fields("contact")] == [size]
    assert close.custom_fields("opportunity") == []
