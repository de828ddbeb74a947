"""The pages of a report and of a plan: what a person wants to know first, and customer text that does nothing."""

import json
import re
from base64 import b64decode
from datetime import UTC, datetime
from xml.etree import ElementTree

import pytest

from tasks.plan.model import Cascade, Counts, OverLimit, Plan, SampleLead
from tasks.report import picture
from tasks.report.history import BLOCK
from tasks.report.model import Report, of_plan
from tasks.report.page import PastRun, plan_page, report_page
from tasks.runs.outcomes import Outcome

HOSTILE = "[x](javascript:alert(1)) | <script>alert(2)</script> \"'>]]> \x00\ud800\uffff `a`"
COUNTS = Counts(
    total=1000, matched=20, kept={"created_within_days": 3, "open_tasks": 2, "total": 4}, planned=10, waiting=6
)


def plan(text: str = "Junk", *sample: SampleLead) -> Plan:
    return Plan.of(
        organization_id="orga_1",
        organization=text,
        user_id="user_1",
        seen_by=text,
        as_of=datetime(2026, 3, 31, 10, 20, 30, tzinfo=UTC),
        s_query={"type": "id", "value": "lead_1"},
        counts=COUNTS,
        criteria=f"Lead status: {text}.",
        protects={"created_within_days": "Created within the last 30 days", "open_tasks": "Open tasks", "status": text},
        cascade=Cascade(known=("7 contacts",)),
        over_limit=(OverLimit(setting="limits.max_leads", allowed=5, found=10),),
        sample=sample,
        notes=(f"A note: {text}",),
    )


def report(text: str = "Junk", outcome: Outcome = Outcome.DELETED) -> Report:
    return Report(
        outcome=outcome,
        message=f"10 leads are deleted: {text}",
        **of_plan(plan(text)),
        processed=9,
        remaining=1,
        backup="/backups/1",
        flow_run_id="1b2c",
    )


EARLIER = PastRun(datetime(2026, 3, 30, 6, 0, tzinfo=UTC), Outcome.DRY_RUN, 1234, 5, None, "run_0")


def svg_of(page: str) -> ElementTree.Element:
    """The picture on *page*."""
    encoded = re.findall(r"\(data:image/svg\+xml;base64,([A-Za-z0-9+/=]+)\)", page)
    assert len(encoded) == 1
    return ElementTree.fromstring(b64decode(encoded[0]))


def drawn(page: str) -> list[tuple[str, float, float]]:
    """The kind of each bar in the picture on *page*, with its beginning and its length, as shares of the longest."""
    found = [each for each in svg_of(page).iter("{http://www.w3.org/2000/svg}rect") if each.get("class") != "page"]
    tracks, bars = found[::2], found[1::2]
    left, room = float(tracks[0].get("x", "")), float(tracks[0].get("width", ""))
    shares = [((float(bar.get("x", "")) - left) / room, float(bar.get("width", "")) / room) for bar in bars]
    return [(str(bar.get("class")), round(x, 2), round(w, 2)) for bar, (x, w) in zip(bars, shares, strict=True)]


def test_the_report_begins_with_how_it_ended_and_ends_with_json():
    """What people ask comes in between, in the order in which they ask it."""
    links = {"plan": "/artifacts/artifact/1", "run": "/runs/1"}
    page = report_page(report(), [(EARLIER, "/runs/flow-run/run_0")], whose="junk in Sandbox Inc.", **links)

    inside = [
        "## Deleted",
        "**junk in Sandbox Inc.**",
        "10 leads are deleted",
        "![Matched: 20; Kept by created within days: 3;",
        "Criteria: Lead status: Junk.",
        "With these leads went 7 contacts, as counted when they were planned.",
        "| Matched | 20 |",
        "| Created within the last 30 days | 3 |",
        "A lead can be kept by several rules.",
        "`lead-cleanup restore 1b2c` shows what the backup would restore",
        "[The plan](/artifacts/artifact/1)",
        "| 2026-03-30 06:00 | Dry run | 1,234 | 5 |  | [Run](/runs/flow-run/run_0) |",
        "> A note: Junk",
        "| Run | 1b2c |",
        "```json\n{\n",
    ]
    assert [text for text in inside if text not in page] == []
    assert sorted(inside, key=page.index) == inside
    assert (found := BLOCK.search(page))
    assert Report.model_validate(json.loads(found[1])).criteria == "Lead status: Junk."


def test_a_dry_run_says_what_would_go_and_its_limit_in_bold():
    page = report_page(report(outcome=Outcome.DRY_RUN))

    assert "With these leads go 7 contacts." in page
    assert "**limits.max\\_leads: 10, where 5 is allowed**" in page


def test_a_report_of_a_run_without_a_plan_can_be_shown():
    page = report_page(Report(outcome=Outcome.REFUSED, message="There is no lead status 'x'\n# Deleted"))

    assert page.startswith("## Refused: nothing was deleted\n\nThere is no lead status 'x' \\# Deleted\n")
    assert "data:image" not in page


def test_the_picture_shows_where_the_leads_stand_among_those_that_matched():
    """Kept ones first, then the planned, then those that wait; of the planned, those that are deleted and the rest."""
    assert drawn(report_page(report())) == [
        ("matched", 0, 1),
        ("kept", 0, 0.15),
        ("kept", 0, 0.1),
        ("kept", 0, 0.2),
        ("planned", 0.2, 0.5),
        ("waiting", 0.7, 0.3),
        ("deleted", 0.2, 0.45),
        ("left", 0.65, 0.05),
    ]


def test_the_smallest_number_can_be_seen_and_nothing_leaves_the_picture():
    bars = [
        picture.Bar("Matched", "matched", 0, 1_000_000),
        picture.Bar("Planned and still matching", "left", 1_000_000, 1),
    ]

    [_, (_, start, length)] = drawn(picture.image(bars))

    assert length > 0
    assert start + length <= 1


def test_where_nothing_matched_there_is_no_picture():
    assert picture.image([picture.Bar("Matched", "matched", 0, 0)]) == ""


@pytest.mark.parametrize("page", [report_page(report(HOSTILE)), plan_page(plan(HOSTILE))], ids=["report", "plan"])
def test_no_text_of_a_customer_does_anything(page: str):
    """Leads, statuses and users are named by strangers."""
    shown = BLOCK.sub("", page)

    assert "<script" not in shown
    assert shown.encode()
    assert "](javascript" not in shown
    assert re.findall(r"^#.*alert", shown, re.MULTILINE) == []


def test_no_text_of_a_customer_breaks_the_picture():
    """It is XML, and its alternative text stands in markdown."""
    image = picture.image([picture.Bar(HOSTILE, "kept", 0, 1)])

    assert [each.tag.rpartition("}")[2] for each in svg_of(image)] == [
        "title",
        "style",
        "rect",
        "text",
        "rect",
        "rect",
        "text",
    ]
    assert re.fullmatch(r"!\[(\\.|[^\]\\])*\]\([^)]*\)", image)


def test_the_sample_leads_to_each_lead_by_its_name():
    page = plan_page(
        plan(
            "Acme",
            SampleLead(id="lead_1", name=HOSTILE, status="*Junk*", url="https://app.close.com/lead/lead_1/"),
            SampleLead(id="lead_2", name="B", last_communication="2025-01-01", url="javascript:alert(1)"),
            SampleLead(id="lead_3", url="http://127.0.0.1:8765/lead/lead_3/"),
            SampleLead(id="lead_4", name="D", url="http://127.0.0.1.example.com/"),
            SampleLead(id="lead_5", name="E", url="https://a.example/) [x](javascript:alert(1)"),
        )
    )

    rows = [line for line in page.splitlines() if line.endswith(("| never |", "| 2025-01-01 |"))]
    assert rows[0].endswith("](https://app.close.com/lead/lead_1/) | \\*Junk\\* | never |")
    assert rows[1:] == [
        "| B |  | 2025-01-01 |",
        "| [lead\\_3](http://127.0.0.1:8765/lead/lead_3/) |  | never |",
        "| D |  | never |",
        "| E |  | never |",
    ]
    assert "### The 5 oldest of the planned leads" in page


def test_a_plan_ends_with_its_query():
    assert plan_page(plan()).endswith('```json\n{\n  "type": "id",\n  "value": "lead_1"\n}\n```\n')
