"""Applying automations.yaml on a real server: once or often comes to the same, and what isn't ours stays as it is."""

from collections.abc import Iterator
from typing import Any

import pytest
from deployed_runs import DEPLOYED, read_all
from prefect.client.orchestration import SyncPrefectClient
from prefect.events.schemas.automations import AutomationCore, EventTrigger, Posture

from deployments import automations

pytestmark = DEPLOYED

NAMES = [each.name for each in automations.read()]
FIRST = NAMES[0]


@pytest.fixture
def applied(prefect: SyncPrefectClient) -> Iterator[SyncPrefectClient]:
    """The server as `make deploy` has left it, and leaves it again."""
    yield prefect
    for found in prefect.read_automations_by_name(FIRST):
        prefect.resume_automation(found.id)
    automations.apply(prefect, automations.read())


def stored(prefect: SyncPrefectClient) -> dict[str, dict[str, Any]]:
    """All automations on the server, as it keeps them: with the ids of their triggers, by which it watches runs."""
    return {each["name"]: each for each in read_all(str(prefect.api_url), "automations")}


def test_make_deploy_has_made_each_once(applied: SyncPrefectClient) -> None:
    assert sorted(each["name"] for each in read_all(str(applied.api_url), "automations")) == sorted(NAMES)


def test_what_is_as_it_should_be_is_not_touched(applied: SyncPrefectClient) -> None:
    """A trigger that is set anew has forgotten the runs that it was watching."""
    before = stored(applied)

    assert automations.apply(applied, automations.read()) == []

    assert stored(applied) == before


def test_a_change_by_hand_is_put_right(applied: SyncPrefectClient) -> None:
    [found] = applied.read_automations_by_name(FIRST)
    everybodys = EventTrigger(type="event", posture=Posture.Reactive)
    applied.update_automation(found.id, AutomationCore(name=FIRST, trigger=everybodys, actions=[]))

    said = automations.apply(applied, automations.read())

    assert said == [f"Updated the automation {FIRST!r}."]
    assert applied.read_automations_by_name(FIRST) == [found]


def test_one_that_somebody_has_turned_off_stays_off(applied: SyncPrefectClient) -> None:
    [found] = applied.read_automations_by_name(FIRST)
    applied.pause_automation(found.id)

    said = automations.apply(applied, automations.read())

    assert said == [f"The automation {FIRST!r} is turned off in Prefect, and stays so."]
    assert stored(applied)[FIRST]["enabled"] is False


def test_of_several_by_one_name_one_is_left(applied: SyncPrefectClient) -> None:
    """As after `prefect automation create --from-file`, which makes all of them anew each time."""
    applied.create_automation(automations.read()[0])

    said = automations.apply(applied, automations.read())

    assert said == [f"There were several automations called {FIRST!r}; one is left."]
    assert len(applied.read_automations_by_name(FIRST)) == 1


def test_somebody_elses_is_not_touched(applied: SyncPrefectClient) -> None:
    theirs = applied.create_automation(AutomationCore(name="theirs", trigger=EventTrigger(), actions=[]))
    before = stored(applied)["theirs"]

    automations.apply(applied, automations.read())

    assert stored(applied)["theirs"] == before
    applied.delete_automation(theirs)
