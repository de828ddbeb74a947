"""The numbers of a plan, the limits at their edges, and the query that is sent."""

import hashlib
from contextlib import nullcontext
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from tasks.close.query.nodes import And, to_json
from tasks.close.query.rewrite import canonical
from tasks.close.resources import LeadStatus
from tasks.criteria.names import Names
from tasks.criteria.policy import Keep, Limits, Match
from tasks.criteria.selection import Criteria, Selection
from tasks.plan.checks import check_clocks, check_limits, check_not_all, check_plan, over_limits
from tasks.plan.model import Counts, Plan, digest, digest_as_spelled
from tasks.plan.overrides import limits_loosened, rules_dropped, weakened
from tasks.plan.ramp import criteria_digest
from tasks.runs.outcomes import Outcome, Refused, Stop

AS_OF = datetime(2026, 3, 31, 10, 20, 30, 456000, tzinfo=UTC)
NAMES = Names(statuses=[LeadStatus(id="stat_1", label="Junk"), LeadStatus(id="stat_2", label="Customer")])
NOTHING_KEPT = Keep(
    open_opportunities=False,
    won_opportunities=False,
    upcoming_meetings=False,
    running_workflows=False,
    created_within_days=None,
    communication_within_days=None,
)
Json = dict[str, Any]
LEADS: Json = {"type": "object_type", "object_type": "lead"}


def on(name: str, condition: Json, **node: Any) -> Json:
    field = {"type": "regular_field", "object_type": "lead", "field_name": name}
    return {"type": "field_condition", "field": field, "condition": condition, **node}


def before(name: str, instant: str) -> Json:
    return on(name, {"type": "moment_range", "before": {"type": "fixed_utc", "value": instant}})


def status(status_id: str, **node: Any) -> Json:
    return on("status_id", {"type": "reference", "reference_type": "status.lead", "object_ids": [status_id]}, **node)


CUT_OFF = [before("date_created", "2026-03-31T10:20:30.456Z"), before("date_updated", "2026-03-31T10:20:30.456Z")]
NO_STATUS: Json = on("status_id", {"type": "exists"}, negate=True)


def both(*queries: Json) -> Json:
    return {"type": "and", "queries": list(queries)}


def selection(**keep: Any) -> Selection:
    return Criteria(Match(status=["Junk"]), NOTHING_KEPT.model_copy(update=keep), AS_OF).select(NAMES)


def plan(counts: Counts) -> Plan:
    return Plan.of({}, "orga_1", organization="Acme", user_id="user_1", as_of=AS_OF, counts=counts)


def counted(planned: int, *, total: int = 1000, kept: int = 0, matched: int | None = None) -> Counts:
    return Counts(
        total=total,
        matched=planned + kept if matched is None else matched,
        kept={"total": kept},
        planned=planned,
    )


def ends(counts: Counts, expect: int | None = None, *, dry_run: bool = False, **limits: Any) -> Outcome | None:
    """How `check_plan` ends the run; None when it continues."""
    try:
        check_plan(plan(counts), Limits(**limits), expect=expect, dry_run=dry_run)
    except Stop as stop:
        return stop.outcome
    return None


# --- the query --------------------------------------------------------------------------------------------------------


def test_the_query_that_is_sent_word_for_word():
    assert to_json(selection(status=["Customer"], lead_ids=["lead_1"]).planned()) == both(
        LEADS,
        status("stat_1"),
        {"type": "or", "queries": [NO_STATUS, status("stat_2", negate=True)]},
        {"type": "id", "value": "lead_1", "negate": True},
        *CUT_OFF,
    )


def test_the_queries_that_are_counted_beside_it():
    found = selection(status=["Customer"], lead_ids=["lead_1"])
    spared = {"type": "id", "value": "lead_1", "negate": False}

    assert to_json(found.matched()) == both(LEADS, status("stat_1"), *CUT_OFF)
    assert to_json(found.kept("lead_ids")) == both(LEADS, status("stat_1"), spared, *CUT_OFF)
    anyone = {"type": "or", "queries": [status("stat_2", negate=False), spared]}
    assert to_json(found.kept()) == both(LEADS, status("stat_1"), anyone, *CUT_OFF)


def test_a_batch_ends_at_an_instant_that_is_part_of_the_query():
    end = AS_OF - timedelta(days=400)

    cut = to_json(selection().cut(end).planned())

    assert cut == both(LEADS, status("stat_1"), before("date_created", "2025-02-24T10:20:30.456Z"), *CUT_OFF)


def test_relative_times_keep_to_the_cut_off_and_the_second_mark_is_in_one_clause_only():
    second = AS_OF.replace(microsecond=789_000)
    criteria = Criteria(Match(status=["Junk"]), Keep(), AS_OF, updated_before=second)

    query = criteria.select(NAMES).planned()

    assert isinstance(query, And)
    assert to_json(query.queries[-1]) == before("date_updated", "2026-03-31T10:20:30.789Z")
    assert str(to_json(query)).count("30.789Z") == 1


def test_a_digest_goes_by_instants_and_one_of_0_1_by_their_spelling_still_holds():
    sent, repeated = before("a", "2026-03-31T10:20:30.456Z"), before("a", "2026-03-31T10:20:30.456000+00:00")
    old = hashlib.sha256(f"orga_1\n{canonical(repeated, as_spelled=True)}".encode()).hexdigest()
    now = plan(counted(1)).model_copy(update={"digest": digest("orga_1", sent)})

    assert [now.has_query(each) for each in (sent, repeated, before("a", "2026-03-31T10:20:30.457Z"))] == [
        *(True, True),
        False,
    ]
    assert now.model_copy(update={"digest": old}).has_query(repeated)
    assert not now.model_copy(update={"digest": old}).has_query(before("a", "2026-03-31T10:20:30.457Z"))


def test_the_criteria_have_the_digest_that_0_1_gave_them_for_whichever_marks():
    """Or each cleanup would start small again after an upgrade."""
    written = before("date_created", "2020-01-01T00:00:00+00:00")
    criteria = Criteria(Match(s_query=both(LEADS, written)), NOTHING_KEPT, AS_OF)
    marked = replace(criteria, updated_before=AS_OF.replace(microsecond=789_000))
    cut_off = [before(name, "2000-01-01T00:00:00.000Z") for name in ("date_created", "date_updated")]
    query = both(LEADS, both(LEADS, written), *cut_off)

    assert criteria_digest(marked, NAMES, "orga_1") == criteria_digest(criteria, NAMES, "orga_1")
    assert criteria_digest(marked, NAMES, "orga_1") == digest_as_spelled("orga_1", query)


def test_the_digest_depends_on_the_organisation_and_the_meaning_only():
    query = both(LEADS, status("stat_1"))
    same = {"queries": [{**LEADS, "negate": False}, status("stat_1", negate=False)], "negate": False, "type": "and"}

    assert digest("orga_1", query) == digest("orga_1", same)
    assert digest("orga_1", query) == hashlib.sha256(f"orga_1\n{canonical(query)}".encode()).hexdigest()
    assert digest("orga_2", query) != digest("orga_1", query) != digest("orga_1", both(LEADS, status("stat_2")))


# --- limits -----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("planned", "total", "limits", "allowed"),
    [
        (500, 10_000, {}, True),
        (501, 10_000, {}, False),
        (7, 10_000, {"max_leads": 7}, True),
        (8, 10_000, {"max_leads": 7}, False),
        (100, 1000, {}, True),
        (101, 1000, {}, False),
        (20, 21, {}, True),
        (21, 22, {}, False),
        (21, 210, {}, True),
        (21, 209, {}, False),
        (21, 22, {"max_share": 1}, True),
        (29, 100, {"max_share": 0.29}, True),
        (30, 100, {"max_share": 0.29}, False),
        (57, 100, {"max_share": 0.57}, True),
        (1, 1, {}, False),
        (20, 20, {"max_share": 1}, False),
        (400, 400, {"max_share": 1}, False),
        (401, 400, {"max_share": 1}, False),
        (399, 400, {"max_share": 1}, True),
    ],
)
def test_limits_hold_to_the_last_lead(planned: int, total: int, limits: Json, allowed: bool):
    with nullcontext() if allowed else pytest.raises(Refused):
        check_not_all(counted(planned, total=total), "The plan has")
        check_limits(counted(planned, total=total), Limits(**limits))


def test_a_refusal_names_the_numbers_and_the_setting():
    with pytest.raises(Refused, match=r"The plan has 501 leads, more than limits\.max_leads allows \(500\)"):
        check_limits(counted(501, total=10_000), Limits())
    with pytest.raises(Refused, match=r"The plan has 104 of 1,000 leads \(10\.4%\), more than limits\.max_share"):
        check_limits(counted(104), Limits())
    with pytest.raises(Refused, match=r"\(10\.01%\), more than limits\.max_share allows \(10%\)"):
        check_limits(counted(1001, total=10_000), Limits(max_leads=2000))
    with pytest.raises(Refused, match=r"\(0\.3%\), more than limits\.max_share allows \(0\.01%\)"):
        check_limits(counted(30, total=10_000), Limits(max_share=0.0001))
    with pytest.raises(Refused, match=r"The plan has every lead of the organisation \(30\)"):
        check_not_all(counted(30, total=30), "The plan has")


# --- the decision -----------------------------------------------------------------------------------------------------


def test_a_plan_within_its_limits_goes_on():
    assert ends(counted(10)) is None
    assert ends(counted(10, kept=5)) is None
    assert ends(counted(10), expect=10) is None


def test_a_dry_run_ends_before_anything_is_deleted_and_over_a_limit_says_so():
    assert ends(counted(10), dry_run=True) is Outcome.DRY_RUN
    with pytest.raises(Stop, match=r"over limits\.max_leads and limits\.max_share: a run .* refused\.") as caught:
        check_plan(plan(counted(501)), Limits(), expect=None, dry_run=True)
    assert caught.value.outcome is Outcome.DRY_RUN
    assert ends(counted(501), dry_run=False) is Outcome.REFUSED


def test_a_dry_run_of_every_lead_is_refused():
    assert ends(counted(30, total=30), dry_run=True, max_share=1) is Outcome.REFUSED


def test_what_is_over_a_limit_is_listed():
    assert over_limits(counted(500, total=5000), Limits()) == ()
    assert [each.model_dump() for each in over_limits(counted(501, total=1000), Limits())] == [
        {"setting": "limits.max_leads", "allowed": 500, "found": 501},
        {"setting": "limits.max_share", "allowed": 0.1, "found": 0.501},
    ]
    assert list(map(str, over_limits(counted(501, total=1000), Limits()))) == [
        "limits.max_leads: 501, where 500 is allowed",
        "limits.max_share: 50.1%, where 10% is allowed",
    ]


@pytest.mark.parametrize(
    ("counts", "ramped", "said"),
    [
        (counted(110), False, "110 of 1,000 leads would be deleted, but that is over limits.max_share: "),
        (
            counted(110).cut_to(50),
            True,
            "50 of 1,000 leads would be deleted now, and 60 by later runs; together that is over limits.max_share: ",
        ),
        (counted(90).cut_to(50), True, "50 of 1,000 leads would be deleted."),
    ],
)
def test_a_dry_run_says_which_leads_are_over_a_limit(counts: Counts, ramped: bool, said: str):
    """Of a cleanup that starts small, those that its later runs would delete count too."""
    with pytest.raises(Stop) as caught:
        check_plan(plan(counts).model_copy(update={"ramped": ramped}), Limits(), expect=None, dry_run=True)

    assert caught.value.message.startswith(said)


def test_a_dry_run_with_nothing_to_delete_says_so():
    assert ends(counted(0), dry_run=True) is Outcome.NOTHING_TO_DO


@pytest.mark.parametrize("dry_run", [True, False])
@pytest.mark.parametrize(("planned", "expect"), [(10, 9), (10, 11), (10, 0), (0, 10)])
def test_another_number_than_expected_is_refused(planned: int, expect: int, dry_run: bool):
    assert ends(counted(planned), expect, dry_run=dry_run) is Outcome.REFUSED


def test_nothing_to_do_says_why():
    waiting = counted(30, kept=5).cut_to(0)  # as when the oldest were edited right after they were found
    for counts, why in (
        (counted(0, kept=3), "3 leads matched, all kept"),
        (counted(0), "none matches"),
        (waiting, r"35 leads matched; 5 are kept, 30 wait for later runs\."),
    ):
        with pytest.raises(Stop, match=why) as caught:
            check_plan(plan(counts), Limits(), expect=None, dry_run=False)
        assert caught.value.outcome is Outcome.NOTHING_TO_DO
    assert ends(counted(0), expect=0) is Outcome.NOTHING_TO_DO


def test_the_counts_in_words_name_those_that_wait():
    assert str(counted(10, kept=1)) == "10 of 1,000 leads would be deleted. 11 leads match; 1 is kept."
    assert str(counted(1, total=2)) == "1 of 2 leads would be deleted. 1 lead matches; 0 are kept."
    assert str(counted(10, kept=5).cut_to(9)) == (
        "9 of 1,000 leads would be deleted. 15 leads match; 5 are kept, 1 waits for later runs."
    )


def test_numbers_that_dont_add_up_are_all_named():
    counts = counted(10, kept=5, matched=16).cut_to(4)

    with pytest.raises(Refused, match=r"16 leads match; 5 are kept, 6 wait for later runs, and 4 are planned\."):
        check_plan(plan(counts), Limits(), expect=None, dry_run=False)


@pytest.mark.parametrize("matched", [14, 16])
def test_numbers_that_dont_add_up_stop_the_run(matched: int):
    """Every matched lead is either kept or planned; if not, Close understands the keep rules otherwise than we do."""
    assert ends(counted(10, kept=5, matched=15)) is None
    assert ends(counted(10, kept=5, matched=matched)) is Outcome.REFUSED
    assert ends(counted(0, kept=5, matched=matched)) is Outcome.REFUSED


def test_a_batch_adds_up_with_those_that_wait():
    counts = counted(900, total=5000, kept=5).cut_to(100)

    assert (counts.planned, counts.waiting, counts.add_up) == (100, 800, True)
    assert ends(counts) is None


def test_a_user_who_may_not_bulk_delete_can_plan_but_not_delete():
    blind = plan(counted(10)).model_copy(update={"may_delete": False, "seen_by": "ann@example.com (user)"})

    with pytest.raises(Refused, match="may not bulk delete"):
        check_plan(blind, Limits(), expect=None, dry_run=False)
    with pytest.raises(Stop) as caught:
        check_plan(blind, Limits(), expect=None, dry_run=True)
    assert caught.value.outcome is Outcome.DRY_RUN


# --- rules that a run lacks -------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("deployed", "given", "dropped"),
    [
        ({}, {}, []),
        ({}, {"open_tasks": True, "status": ["Customer"], "created_within_days": 31}, []),
        ({"open_tasks": True}, {}, ["open_tasks"]),
        ({}, {"open_opportunities": False}, ["open_opportunities"]),
        ({}, {"created_within_days": 29}, ["created_within_days"]),
        ({}, {"created_within_days": None}, ["created_within_days"]),
        ({"created_within_days": None}, {}, []),
        ({"status": ["A", "B"]}, {"status": ["B"]}, ["status"]),
        ({"status": ["A", "B"]}, {"status": ["B", "A", "C"]}, []),
        ({"status": ["A"]}, {}, ["status"]),
        ({"smart_view": "VIP"}, {"smart_view": "VIPs"}, ["smart_view"]),
        ({"custom_fields": {"Tier": ["A"]}}, {"custom_fields": {"Tier": ["A"]}}, []),
        ({"custom_fields": {"Tier": ["A", "B"]}}, {"custom_fields": {"Tier": ["A"]}}, ["custom_fields"]),
        ({"custom_fields": {"Tier": ["A"]}}, {"custom_fields": {"Tier": ["A", "B"], "Plan": ["X"]}}, []),
        ({"lead_ids": ["lead_1"], "email_domains": ["a.com"]}, {}, ["email_domains", "lead_ids"]),
    ],
)
def test_rules_of_the_deployment_that_a_run_lacks_or_weakens_are_named(deployed: Json, given: Json, dropped: list[str]):
    """Overriding one rule of keep drops the others, since parameters are replaced as a whole: that is said."""
    notes = rules_dropped(Keep.model_validate(deployed), Keep.model_validate(given))

    assert [note.partition("(keep.")[2].removesuffix(").") for note in notes] == dropped


def test_without_a_deployment_nothing_can_be_dropped():
    assert weakened(None, NOTHING_KEPT, Limits(max_leads=10_000), "never") == []


def test_a_deployment_that_says_nothing_has_the_defaults():
    notes = weakened({"keep": None}, NOTHING_KEPT, Limits(max_leads=10_000), "never")

    assert (len(notes), notes[-1]) == (
        7,
        "Less careful than its deployment: max leads 10,000 instead of 500 (limits.max_leads).",
    )


def test_limits_that_are_wider_than_the_deployments_are_said():
    """Prefect replaces ``limits`` whole: naming one of them sets the others back to their defaults."""
    deployed = Limits(max_leads=50, max_share=0.02, batch=10, max_late_hours=2)

    assert limits_loosened(deployed, deployed) == []
    assert limits_loosened(deployed, Limits(max_leads=40, max_share=0.01, batch=5, max_late_hours=1)) == []
    assert [note.partition("(")[2].removesuffix(").") for note in limits_loosened(deployed, Limits(ramp=False))] == [
        "limits.max_leads",
        "limits.max_share",
        "limits.max_late_hours",
        "limits.batch",
        "limits.ramp",
    ]


@pytest.mark.parametrize("theirs", [None, AS_OF - timedelta(seconds=2), AS_OF + timedelta(days=400)])
def test_a_cut_off_that_is_over_for_close_too_is_fine(theirs: datetime | None):
    check_clocks(AS_OF, theirs, ours=AS_OF)


def test_a_cut_off_ahead_of_closes_clock_is_refused():
    """An edit between the plan and the cut-off would not be spared."""
    with pytest.raises(Refused, match="is 90 seconds ahead of Close's clock"):
        check_clocks(AS_OF, AS_OF - timedelta(seconds=90), ours=AS_OF)


def test_where_close_does_not_tell_the_time_this_machine_does():
    with pytest.raises(Refused, match="is 90 seconds ahead of this machine's clock"):
        check_clocks(AS_OF, None, ours=AS_OF - timedelta(seconds=90))
