"""organizations.yaml: what each organisation is deployed with, and what is refused by name before anything is."""

from collections.abc import Callable
from pathlib import Path

import pytest

from deployments import organizations, prefect_yaml
from deployments.organizations import without
from deployments.prefect_yaml import Deployment
from flows.console.documents import Unreadable

ROOT = Path(__file__).parents[2]
EXAMPLE = ROOT / "deployments" / "organizations.example.yaml"
ACME = """
- name: acme
  organization_id: orga_acme
  time_zone: America/New_York
  cleanups: [junk]
"""
Added = Callable[..., dict[str, Deployment]]


@pytest.fixture
def added(tmp_path: Path) -> Added:
    """What is deployed with these *organizations* beside the project's own prefect.yaml."""

    def add(listed: str, whole: str = "organizations:") -> dict[str, Deployment]:
        (tmp_path / "organizations.yaml").write_text(whole + listed, "utf-8")
        found = organizations.read(tmp_path / "organizations.yaml")
        deployments = organizations.add(found, prefect_yaml.read(ROOT / "prefect.yaml")).deployments
        return {each.name: each for each in deployments}

    return add


def test_an_organisation_has_its_cleanups_with_its_own_key_id_and_time_zone(added: Added) -> None:
    found = added(ACME)
    acme, junk = found["junk-acme"], found["junk"]
    env = acme.entry["work_pool"]["job_variables"]["env"]

    assert (acme.full_name, acme.block) == ("lead-cleanup/junk-acme", "close-api-key-acme")
    assert (env["CLOSE_API_KEY_BLOCK"], env["CLOSE_ORGANIZATION_ID"]) == ("close-api-key-acme", "orga_acme")
    assert acme.entry["tags"] == ["lead-cleanup", "organization:acme", "orga_acme"]
    assert acme.parameters == {**junk.parameters, "time_zone": "America/New_York"}
    assert [each.when.timezone for each in acme.schedules] == ["America/New_York"]
    assert [each.active for each in acme.schedules] == [each.active for each in junk.schedules]
    assert junk == added("")["junk"]


def test_overrides_are_merged_one_by_one_and_its_schedules_replace_all(added: Added) -> None:
    """An override of one keep rule doesn't drop the others."""
    junk = added(
        ACME
        + """
  settings: {CLOSE_KEEP_SMART_VIEW: Never delete}
  overrides:
    junk:
      parameters: {match: {status: [Bad Fit]}, keep: {open_tasks: true}, limits: {max_share: null}, dry_run: false}
      schedules: [{slug: weekly, cron: 0 7 * * 2}, {slug: noon, cron: 0 12 1 * *, timezone: UTC}]
"""
    )["junk-acme"]

    assert junk.parameters["match"] == {"status": ["Bad Fit"]}
    assert junk.parameters["keep"]["open_tasks"]
    assert junk.parameters["keep"]["won_opportunities"]
    assert (junk.parameters["limits"], junk.parameters["dry_run"]) == ({"max_leads": 200}, False)
    assert {each.slug: each.when.timezone for each in junk.schedules} == {"weekly": "America/New_York", "noon": "UTC"}
    assert junk.entry["work_pool"]["job_variables"]["env"]["CLOSE_KEEP_SMART_VIEW"] == "Never delete"


def test_the_deployments_of_prefect_yaml_may_be_templates_only(added: Added) -> None:
    """What shows all organisations is deployed even so: it needs no key."""
    assert set(added(ACME, "deploy_prefect_yaml: false\norganizations:")) == {"junk-acme", "overview", "digest"}


def test_the_example_can_be_deployed() -> None:
    listed, file = organizations.read(EXAMPLE), prefect_yaml.read(ROOT / "prefect.yaml")
    names = {each.name for each in organizations.add(listed, file).deployments}
    assert {"stale-leads-acme", "restore-leads-acme", "junk-globex", "overview"} <= names
    assert "junk" not in names


def test_without_the_file_there_are_no_organisations(tmp_path: Path) -> None:
    assert organizations.read(tmp_path / "organizations.yaml").organizations == []


@pytest.mark.parametrize(
    ("listed", "sentence"),
    [
        (ACME * 2, "has two organisations called acme: remove or change one"),
        (ACME + ACME.replace("name: acme", "name: b"), "has two organisations with the id orga_acme"),
        (
            ACME + "  secret_block: x\n" + ACME.replace("acme", "b") + "  secret_block: x\n",
            "has two organisations with the Secret block x",
        ),
        (
            ACME.replace("[junk]", "[jnk]"),
            "lists 'jnk' for acme, which is no cleanup of prefect.yaml; did you mean 'junk'",
        ),
        (ACME.replace("[junk]", "[junk, junk]"), "acme: cleanups has 'junk' twice: remove one"),
        (ACME.replace("[junk]", "[]"), "acme: cleanups: it is empty"),
        (
            ACME.replace("America/New_York", "Mars/Base"),
            "acme: time_zone: 'Mars/Base' is not a time zone such as",
        ),
        (ACME.replace("name: acme", "name: Acme Inc"), "organizations.0.name: 'Acme Inc' can't be used: write a-z"),
        (ACME.replace("orga_acme", "acme"), "acme: organization_id: 'acme' is not an organisation's id"),
        (ACME.replace("orga_acme", '"{{ $ACME }}"'), "acme: organization_id: '{{ \\$ACME }}' is not"),
        (ACME.replace("  time_zone: America/New_York\n", ""), "acme: time_zone: it is missing"),
        (ACME + "  overrides: {stale-leads: {}}", "overrides has 'stale-leads', which is not among its cleanups"),
        (
            ACME + "  overrides: {junk: {keep: {}}}",
            "acme: overrides.junk.keep: there is no setting of this name",
        ),
        (
            ACME + "  overrides: {junk: {parameters: {limit: 3}}}",
            "has limit in junk-acme.parameters, which lead-cleanup",
        ),
        (
            ACME + "  overrides: {junk: {parameters: {limits: {max_leads: many}}}}",
            "has junk-acme.parameters that can't be used: limits.max_leads: write a whole number",
        ),
        (ACME + "  overrides: {junk: {schedules: [{slug: a, cron: zz}]}}", "has a schedule of junk-acme that can't be"),
        (ACME + "  settings: {CLOSE_API_KEY: api_x}", "CLOSE_API_KEY can't be among them: keep it in the Secret block"),
        (ACME + "  settings: {CLOSE_KEEP_VIEW: x}", "'CLOSE_KEEP_VIEW' is not a setting; did you mean"),
        (
            ACME + "  settings: {CLOSE_BACKUP_DAYS: many}",
            "has settings of acme that can't be used: CLOSE_BACKUP_DAYS: write",
        ),
        ("\n- acme", "can't be used: organizations.0: write an object"),
        (" [", "is not YAML"),
    ],
)
def test_what_can_not_be_used_is_refused_in_one_sentence(added: Added, listed: str, sentence: str) -> None:
    with pytest.raises(Unreadable, match=sentence.replace("[", r"\[")):
        added(listed)


@pytest.mark.parametrize("name", ["acme", "globex"])
def test_an_organisation_is_taken_off_the_list_and_nothing_else_changes(tmp_path: Path, name: str) -> None:
    before = EXAMPLE.read_text("utf-8")
    after = without(before, name)
    assert after is not None
    (tmp_path / "organizations.yaml").write_text(after, "utf-8")

    assert set(after.splitlines()) < set(before.splitlines())
    assert name not in [each.name for each in organizations.read(tmp_path / "organizations.yaml").organizations]


@pytest.mark.parametrize(
    "text",
    [
        "organizations: [{name: a}, {name: b}]",
        "organizations:\n- {name: a, x: &x [1]}\n- {name: b, x: *x}",
        "organizations:\n- name: b\n-\n  name: a",
    ],
)
def test_one_that_can_not_be_cut_out_line_by_line_is_left_to_a_person(text: str) -> None:
    assert without(text, "a") is None


def test_the_last_one_leaves_a_list_without_any(tmp_path: Path) -> None:
    after = without(f"organizations:{ACME}  # left\n", "acme")
    assert after == "organizations:\n  # left\n"
    (tmp_path / "organizations.yaml").write_text(after)
    assert organizations.read(tmp_path / "organizations.yaml").organizations == []
