"""Which statuses a lead or an opportunity has had, and when: the node in_status."""

from datetime import UTC, datetime
from typing import Any

import pytest
from words_for_close import ANY, Close, Query, field, in_status, related, utc, where

NEW_YEAR = utc("2021-01-01T00:00:00Z")
LONG_AGO = {"date_created": "2020-06-01T00:00:00Z"}


def ids_of(close: Close, what: str) -> dict[str, str]:
    """The ids of the statuses of leads or opportunities by label."""
    return {each["label"]: each["id"] for each in close.get(f"status/{what}/")["data"]}


def put(close: Close, path: str, **values: Any) -> dict[str, Any]:
    return close.http.put(path, json=values).raise_for_status().json()


def at(moment: str) -> Query:
    """A moment as Close shows it, as queries take it."""
    return utc(datetime.fromisoformat(moment).astimezone(UTC).isoformat(timespec="milliseconds"))


def test_a_lead_was_in_every_status_it_has_had_each_in_its_time(close: Close) -> None:
    status = ids_of(close, "lead")
    new = {"name": "new", "status_label": "Potential", "date_created": "2024-06-01T00:00:00Z"}
    lead, _ = close.load({"name": "moved", "status_label": "Potential", **LONG_AGO}, new)
    changed = at(put(close, f"lead/{lead}/", status="Junk")["date_updated"])
    first, second = [status["Potential"]], [status["Junk"]]

    assert close.names(in_status(first)) == ["moved", "new"]
    assert close.names(in_status(second)) == ["moved"]
    assert close.names(in_status(first, before=NEW_YEAR)) == ["moved"]
    assert close.names(in_status(second, before=NEW_YEAR)) == []
    assert close.names(in_status(first, before=changed)) == ["moved", "new"]
    assert close.names(in_status(second, before=changed)) == []
    assert close.names(in_status(first, on_or_after=changed)) == ["new"]
    assert close.names(in_status(second, on_or_after=changed)) == ["moved"]


def test_a_status_that_came_back_was_there_twice(close: Close) -> None:
    status = ids_of(close, "lead")
    (lead,) = close.load({"name": "undecided", "status_label": "Potential", **LONG_AGO})
    left = at(put(close, f"lead/{lead}/", status="Junk")["date_updated"])
    back = at(put(close, f"lead/{lead}/", status="Potential")["date_updated"])

    assert close.names(in_status([status["Potential"]], before=left)) == ["undecided"]
    assert close.names(in_status([status["Potential"]], on_or_after=back)) == ["undecided"]
    assert close.names(in_status([status["Junk"]], before=left)) == []
    assert close.names(in_status([status["Junk"]], on_or_after=back)) == []
    assert close.names(in_status([status["Junk"]])) == ["undecided"]


def test_a_change_of_something_else_is_no_change_of_status(close: Close) -> None:
    status = ids_of(close, "lead")
    (lead,) = close.load({"name": "old name", "status_label": "Junk", **LONG_AGO})
    put(close, f"lead/{lead}/", name="new name", status="Junk")

    assert close.names(in_status([status["Junk"]], before=NEW_YEAR)) == ["new name"]


def test_what_a_lead_was_before_its_last_known_change_is_not_known(close: Close) -> None:
    status = ids_of(close, "lead")
    close.load({"name": "loaded", **LONG_AGO, "last_lead_status_change_date": "2022-01-01T00:00:00Z"})

    assert close.names(in_status([status["Potential"]], before=utc("2022-01-01T00:00:00Z"))) == []
    assert close.names(in_status([status["Potential"]], before=utc("2022-01-01T00:00:00.001Z"))) == ["loaded"]


def test_an_opportunity_was_won_when_it_was_won(close: Close) -> None:
    status = ids_of(close, "opportunity")
    won = {"status_type": "won", "date_created": "2019-01-01", "date_won": "2020-06-01"}
    lost = {"status_type": "lost", "date_created": "2020-01-01", "date_lost": "2023-06-01"}
    expected = {"status_type": "active", "date_created": "2020-01-01", "date_won": "2023-06-01"}
    for name, opportunity in (("won", won), ("lost", lost), ("expected", expected)):
        close.load({"name": name, "opportunities": [opportunity]})

    assert close.names(related("opportunity", in_status(list(status.values()), before=NEW_YEAR))) == ["won", "expected"]
    before = in_status([status["Won"], status["Lost"]], before=utc("2020-06-01T00:00:00Z"))
    assert close.names(related("opportunity", before)) == []


def test_an_opportunity_remembers_what_it_was(close: Close) -> None:
    """The use that is known: leads of which an opportunity got to a proposal, whatever became of it."""
    status = ids_of(close, "opportunity")
    close.load({"name": "never got there", "opportunities": [{"status_label": "Demo Scheduled"}]})
    lead = close.post("lead/", {"name": "declined"})["id"]
    opportunity = close.post("opportunity/", {"lead_id": lead, "status_id": status["Proposal Sent"]})["id"]
    put(close, f"opportunity/{opportunity}/", status_id=status["Lost"])
    proposal = {**in_status([status["Proposal Sent"]], on_or_after=NEW_YEAR), "before": None}

    assert close.names(related("opportunity", proposal)) == ["declined"]
    assert close.names(related("opportunity", {**proposal, "negate": True})) == ["never got there"]
    assert close.names(related("opportunity", proposal, negate=True)) == ["never got there"]


def test_nothing_was_in_a_status_in_the_future_or_in_no_time(close: Close) -> None:
    status = ids_of(close, "lead")
    close.load({"name": "x", **LONG_AGO})

    assert close.names(in_status([status["Potential"]], on_or_after=utc("2999-01-01T00:00:00Z"))) == []
    assert close.names(in_status([status["Potential"]], on_or_after=NEW_YEAR, before=NEW_YEAR)) == []
    assert close.names(in_status([status["Potential"]], on_or_after=NEW_YEAR, before=NEW_YEAR, negate=True)) == ["x"]
    assert close.names(in_status([status["Potential"]], on_or_after={"type": "now"})) == ["x"]


def test_a_status_that_does_not_exist_matches_nothing(close: Close) -> None:
    status = ids_of(close, "lead")
    close.load({"name": "x"})

    assert close.names(in_status(["stat_nope"])) == []
    assert close.names(in_status(["stat_nope"], negate=True)) == ["x"]
    assert close.names(in_status(["stat_nope", status["Potential"]])) == ["x"]


def test_the_history_goes_with_its_object(close: Close) -> None:
    """An id that is loaded again starts anew."""
    leads, stages = ids_of(close, "lead"), ids_of(close, "opportunity")
    lead: dict[str, Any] = {
        "id": "lead_a",
        "name": "A",
        "opportunities": [{"id": "oppo_a", "status_type": "active"}, {"id": "oppo_b", "status_type": "active"}],
    }
    close.load(lead)
    put(close, "lead/lead_a/", status="Junk")
    for opportunity in ("oppo_a", "oppo_b"):
        put(close, f"opportunity/{opportunity}/", status_id=stages["Lost"])
        put(close, f"opportunity/{opportunity}/", status_id=stages["Demo Scheduled"])
    was_lost = related("opportunity", in_status([stages["Lost"]]))
    assert close.names(in_status([leads["Junk"]]), was_lost) == ["A"]

    for path in ("opportunity/oppo_a/", "lead/lead_a/"):
        close.http.delete(path).raise_for_status()
    close.load(lead)

    assert close.names(ANY) == ["A"]
    assert close.names(in_status([leads["Junk"]])) == []
    assert close.names(was_lost) == []


def test_a_merged_lead_keeps_the_history_of_the_opportunities_it_gets(close: Close) -> None:
    stages = ids_of(close, "opportunity")
    source, destination = close.load({"name": "a", "opportunities": [{"id": "oppo_a"}]}, {"name": "b"})
    put(close, "opportunity/oppo_a/", status_id=stages["Lost"])
    close.post("lead/merge/", {"source": source, "destination": destination})

    assert close.names(related("opportunity", in_status([stages["Demo Scheduled"]]))) == ["b"]


@pytest.mark.parametrize(
    ("node", "place"),
    [
        ({"type": "in_status"}, {"status_ids": "This field is required."}),
        (in_status([]), {"status_ids": "List must not be empty."}),
        (in_status(["x"], before={"type": "nope"}), {"before": {"type": "Not a valid choice."}}),
        (
            related("contact", in_status(["x"])),
            {"related_query": {"type": "Only leads and opportunities have statuses."}},
        ),
    ],
)
def test_what_is_wrong_with_it_is_said_at_its_place(close: Close, node: Query, place: dict[str, Any]) -> None:
    assert close.refused(node) == {"query": {"queries": {"errors": {"1": place}}}}


def test_made_up_leads_have_been_in_their_status_since_they_came(close: Close) -> None:
    close.control("POST", "reset", {"leads": 300, "seed": 7})
    junk = [ids_of(close, "lead")["Junk"]]
    is_junk = where("status_id", "reference", reference_type="status.lead", object_ids=junk)
    came = where("date_created", "moment_range", before=NEW_YEAR)
    won_late = where(field("date_won", "opportunity"), "moment_range", on_or_after=NEW_YEAR)
    in_time = in_status([ids_of(close, "opportunity")["Won"]], before=NEW_YEAR)

    assert close.names(is_junk, _limit=200) == close.names(in_status(junk), _limit=200) != []
    assert close.names(is_junk, came, _limit=200) == close.names(in_status(junk, before=NEW_YEAR))
    assert close.names(related("opportunity", won_late)) != []
    assert close.names(related("opportunity", {"type": "and", "queries": [won_late, in_time]})) == []
