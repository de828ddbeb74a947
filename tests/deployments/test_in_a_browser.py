"""What a person does in the Prefect UI, in a real browser, with a real server and a real worker."""

import logging
import re
import time
from collections.abc import Iterator
from shutil import which
from typing import Any
from uuid import UUID

import pytest
from deployed_runs import StartWorker, await_state, is_alive, wait_for
from playwright.sync_api import Locator, Page, ViewportSize, expect, sync_playwright
from prefect.client.orchestration import SyncPrefectClient
from support.close_account import CloseAccount, lead

from tasks.runs.run_names import is_made_up

# In a process of their own: after Playwright, runs in the same process send no events.
pytestmark = [pytest.mark.server, pytest.mark.system, pytest.mark.xdist_group("browser")]

logger = logging.getLogger(__name__)

BROWSERS = ("chromium", "chromium-browser", "google-chrome")  # the Makefile looks for them too
SOON = 5  # seconds in which a button that was pressed takes effect
LONGEST = 120_000  # milliseconds; on an idle machine nothing here takes more than two seconds
TALL: ViewportSize = {"width": 1280, "height": 2000}  # Prefect leaves out of its page what can't be seen

expect.set_options(timeout=LONGEST)


@pytest.fixture
def page(server: str) -> Iterator[Page]:
    """A window of a browser, for one test: to other tests, Playwright's loop would look like their own.

    Without what draws a run's graph, which takes seconds where there is no graphics card.
    """
    executable, args = browser_here(), ["--disable-3d-apis"]
    with sync_playwright() as playwright, playwright.chromium.launch(executable_path=executable, args=args) as browser:
        page = browser.new_page(base_url=server.removesuffix("/api"), viewport=TALL)
        page.set_default_timeout(LONGEST)
        yield page


def test_a_person_starts_a_run_by_its_form_and_approves_what_it_would_delete(
    prefect: SyncPrefectClient, start_worker: StartWorker, close: CloseAccount, page: Page
) -> None:
    with start_worker():
        run_id = start_ad_hoc_run(prefect, page)
        asked = await_state(prefect, run_id, "Suspended")
        before = close.writes()
        dialog = resume_form(page, run_id)
        expect(dialog).to_contain_text("2 of 4 leads would be deleted.")
        with page.expect_popup() as opened:
            dialog.get_by_role("link", name="the plan").click()
        expect(opened.value.get_by_role("row").filter(has_text="Junk")).to_have_count(2)

        field(dialog, "Number of leads").get_by_role("spinbutton").fill("2")
        dialog.get_by_role("button", name="Submit").click()
        expect(field(dialog, "Your name")).to_contain_text("'approver' is a required property")
        field(dialog, "Your name").get_by_role("textbox").fill("Ann")
        field(dialog, "Note").get_by_role("textbox").fill("As agreed.")
        answered = submit(page, "resume")
        await_state(prefect, run_id, "Deleted")

    assert asked.state
    assert (asked.name, asked.state.message) == ("ad-hoc: delete: Junk", "Waits for approval: 2 leads")
    assert answered["status"] == "ACCEPT"
    assert before == []
    assert sorted(each["name"] for each in close.leads().values()) == ["C", "D"]
    page.goto(f"/runs/flow-run/{run_id}")
    page.get_by_text("Artifacts", exact=True).click()
    page.get_by_role("link", name=re.compile(r"markdown lead-cleanup-sandbox-inc-\w{6}-ad-hoc ")).click()
    picture = page.get_by_role("img", name=re.compile("Matched: 2; Kept: 0; Planned: 2; Deleted by Close: 2"))
    expect(picture).to_be_visible()
    assert picture.evaluate("picture => picture.naturalWidth") > 0
    approved = page.get_by_role("row").filter(has_text="Approved")
    expect(approved).to_contain_text(re.compile(r"2 leads, approved by Ann \(name not verified\), .* UTC: As agreed\."))


@pytest.mark.exhaustive
def test_whoever_types_another_number_declines(
    prefect: SyncPrefectClient, start_worker: StartWorker, close: CloseAccount, asked: UUID, page: Page
) -> None:
    with start_worker():
        await_state(prefect, asked, "Suspended")
        dialog = resume_form(page, asked)
        field(dialog, "Number of leads").get_by_role("spinbutton").fill("3")
        field(dialog, "Your name").get_by_role("textbox").fill("Ann")
        submit(page, "resume")
        run = await_state(prefect, asked, "Declined")

    assert run.state
    assert run.state.message == "Ann answered 3, but the plan had 2 leads."
    assert close.writes() == []
    assert len(close.leads()) == 4


def test_the_other_ui_has_the_same_form_and_keeps_the_name_that_a_person_types(
    prefect: SyncPrefectClient, start_worker: StartWorker, close: CloseAccount, page: Page
) -> None:
    junk = prefect.read_deployment_by_name("lead-cleanup/junk")
    page.goto(f"/v2/deployments/deployment/{junk.id}/run")
    expect(page.get_by_text("ON: only plan. OFF: leads are really deleted in Close.")).to_be_visible()
    expect(page.get_by_text("Created within the last … days").first).to_be_visible()
    expect(page.get_by_role("tab", name="None")).to_have_count(0)
    name = page.get_by_label("Run Name")
    made_up = name.input_value()
    name.fill("For Ann")
    run_id = UUID(submit(page, "create_flow_run")["id"])
    with start_worker():
        run = await_state(prefect, run_id, "DryRun")

    assert is_made_up(made_up)
    assert run.name == "For Ann"


def test_whoever_suspends_or_cancels_a_run_that_deletes_sees_close_pause_at_once(
    prefect: SyncPrefectClient, start_worker: StartWorker, sandbox: CloseAccount, page: Page
) -> None:
    """By the run's own process. Prefect calls its hook later, in another one, and sends no signal for a suspension."""
    sandbox.add(*(lead(f"junk {number}", "Junk") for number in range(100)), lead("A"))
    sandbox.jobs(leads_per_second=1)
    ad_hoc = prefect.read_deployment_by_name("lead-cleanup/ad-hoc")
    limits = {"max_share": 1.0, "max_leads": 1000, "ramp": False}
    parameters = {"match": {"status": ["Junk"]}, "limits": limits, "dry_run": False, "backup": False}
    with start_worker():
        run_id = prefect.create_flow_run_from_deployment(ad_hoc.id, parameters=parameters).id
        await_polls(sandbox)
        page.goto(f"/runs/flow-run/{run_id}")
        press(page, prefect, run_id, "Suspend", "Submit")
        suspended_after = await_pause(sandbox)
        state = prefect.read_flow_run(run_id).state_name
        wait_for(lambda: not is_alive(run_id), sandbox.requests)

        sandbox.forget_requests()
        press(page, prefect, run_id, "Resume", "Submit")
        await_polls(sandbox)
        sandbox.forget_requests()
        press(page, prefect, run_id, "Cancel", "Confirm")
        cancelled_after = await_pause(sandbox)
        cancelling = prefect.read_flow_run(run_id).state_name
        await_state(prefect, run_id, "Cancelled")

    logger.info("Close was asked to pause %.1f s after Suspend, %.1f s after Cancel.", suspended_after, cancelled_after)
    assert (state, cancelling) == ("Suspended", "Cancelling")
    assert sandbox.get("/bulk_action/delete/")["data"][0]["status"] == "paused"


def press(page: Page, prefect: SyncPrefectClient, run_id: UUID, what: str, submit: str) -> None:
    """Press the button on the run's page, and the one in the dialog that it opens, until it has taken effect.

    A server on SQLite may refuse it at the moment at which it stores something else. A person presses again.
    """
    before = prefect.read_flow_run(run_id).state_name

    def pressed() -> bool:
        page.get_by_role("button", name=what, exact=True).click()
        page.get_by_role("dialog").get_by_role("button", name=submit).click()
        for _ in range(SOON):
            if prefect.read_flow_run(run_id).state_name != before:
                return True
            time.sleep(1)
        page.reload()
        return False

    wait_for(pressed, lambda: before)


def await_polls(sandbox: CloseAccount) -> None:
    """Wait until a run has polled for its bulk delete a few times."""

    def polled() -> bool:
        polls = [each for each in sandbox.requests() if "/delete/bulkdelete_" in each["path"]]
        return sum(each["method"] == "GET" for each in polls) > 2

    wait_for(polled, sandbox.requests)


def await_pause(sandbox: CloseAccount) -> float:
    """Wait until Close is asked to pause; how many seconds that took."""
    began = time.monotonic()
    wait_for(sandbox.puts, sandbox.requests)
    return time.monotonic() - began


def browser_here() -> str:
    """Where a browser is. Without one the test fails: whoever asks for it means to see it pass."""
    for name in BROWSERS:
        if found := which(name):
            return found
    missing = f"This test needs a browser, and none of {', '.join(BROWSERS)} is on the PATH"
    pytest.fail(f"{missing}: as root, where there is apt-get, `make test-system` installs Chromium.", pytrace=False)


def start_ad_hoc_run(prefect: SyncPrefectClient, page: Page) -> UUID:
    """Deletes leads in the status Junk, once somebody has approved it; by *Custom run*."""
    ad_hoc = prefect.read_deployment_by_name("lead-cleanup/ad-hoc")
    page.goto(f"/deployments/deployment/{ad_hoc.id}")
    page.get_by_role("button", name="Run", exact=True).click()
    page.get_by_role("link", name="Custom run").click()

    status = field(page, "Lead status")
    status.get_by_role("button", name="Add item").click()
    status.get_by_role("textbox").fill("Junk")
    field(page, "Approval").get_by_role("textbox").fill("above 1")
    field(page, "Dry run").get_by_role("switch").click()
    run = submit(page, "create_flow_run")
    assert is_made_up(run["name"])
    return UUID(run["id"])


def resume_form(page: Page, run_id: UUID) -> Locator:
    """What *Resume* on the run's page opens."""
    page.goto(f"/runs/flow-run/{run_id}")
    page.get_by_role("button", name="Resume").click()
    return page.get_by_role("dialog")


def field(form: Page | Locator, title: str) -> Locator:
    """The first field called that, with all that belongs to it."""
    return form.get_by_text(re.compile(rf"^{title}( \(Optional\))?$")).first.locator("xpath=ancestor::label/../..")


def submit(page: Page, what: str) -> dict[str, Any]:
    """Submits a form as people do, again where a busy server is short of breath; what it is told."""

    def press() -> dict[str, Any] | None:
        with page.expect_response(f"**/{what}") as answer:
            page.get_by_role("button", name="Submit").click()
        return answer.value.json() if answer.value.ok else None

    return wait_for(press, lambda: f"{what} was not accepted")
