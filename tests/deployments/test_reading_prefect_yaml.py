"""What `make deploy` reads: nothing the file says is lost on its way, or it is refused by name."""

from pathlib import Path

import pytest

from deployments.prefect_yaml import PrefectYaml, read
from flows.console.documents import Unreadable

ENTRY = """
deployments:
- name: junk
  entrypoint: tidy.py:tidy
  work_pool: {name: lead-cleanup}
"""
FLOW = """
from prefect import flow

@flow(name="tidy")
def tidy(match=None, keep=None, limits=None, approval="never", since=None, x=None) -> None: ...
"""


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    (tmp_path / "tidy.py").write_text(FLOW)
    return tmp_path


def reading(folder: Path, more: str, *, whole: str = ENTRY) -> PrefectYaml:
    """The file with *more* in its one deployment."""
    (folder / "prefect.yaml").write_text(whole + "".join(f"  {line}\n" for line in more.splitlines()), "utf-8")
    return read(folder / "prefect.yaml")


@pytest.mark.parametrize(
    ("more", "place"),
    [
        ('parameters: {keep: {smart_view: "{{ KEEP_VIEW }}"}}', "junk.parameters.keep.smart_view"),
        ('parameters: {keep: {lead_ids: [lead_A, "{{ VIP }}"]}}', "junk.parameters.keep.lead_ids.1"),
        ('parameters: {approval: "above {{ many }}"}', "junk.parameters.approval"),
        ('parameters: {limits: {max_leads: "{{ $UNSET_HERE }}"}}', "junk.parameters.limits.max_leads"),
        ('parameters: {match: {smart_view: "{{ prefect.variables.view }}"}}', "junk.parameters.match.smart_view"),
        ('parameters: {match: {smart_view: "{{ prefect.blocks.secret.x }}"}}', "junk.parameters.match.smart_view"),
        ('parameters: {match: {smart_view: "{{ ctx.flow_run.name }}"}}', "junk.parameters.match.smart_view"),
        ('tags: ["{{ TAG }}"]', "junk.tags.0"),
        ('description: "{{ WHAT }}"', "junk.description"),
        ('schedules: [{slug: a, cron: "{{ CRON }}"}]', "junk.schedules.0.cron"),
        (
            'schedules: [{slug: a, cron: "0 6 * * *", parameters: {keep: "{{ K }}"}}]',
            "junk.schedules.0.parameters.keep",
        ),
    ],
)
def test_a_template_that_nothing_resolves_is_refused_by_its_place(folder: Path, more: str, place: str) -> None:
    """Prefect deploys without the value."""
    with pytest.raises(Unreadable, match=rf"in \S*{place}, which nothing resolves"):
        reading(folder, more)


def test_what_the_environment_has_is_put_in(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("VIEW", "Gone cold")
    [junk] = reading(folder, 'parameters: {match: {smart_view: "{{ $VIEW }}, all"}}').deployments
    assert junk.parameters == {"match": {"smart_view": "Gone cold, all"}}


def test_a_template_in_what_the_environment_has_is_refused(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("VIEW", "{{ OTHER }}")
    with pytest.raises(Unreadable, match="nothing resolves"):
        reading(folder, 'parameters: {match: {smart_view: "{{ $VIEW }}"}}')


IN_THE_POOL = ENTRY.replace("{name: lead-cleanup}", "{name: lead-cleanup, job_variables: {%s}}")


def test_a_template_in_the_variables_of_a_job_is_refused_too(folder: Path) -> None:
    with pytest.raises(Unreadable, match=r"in junk.work_pool.job_variables.env.CLOSE_ORGANIZATION_ID, which nothing"):
        reading(folder, "", whole=IN_THE_POOL % 'env: {CLOSE_ORGANIZATION_ID: "{{ ORG }}"}')


@pytest.mark.parametrize("block", ["My Block", 5, "null", "[a]"])
def test_a_block_that_can_not_be_called_so_is_refused(folder: Path, block: object) -> None:
    with pytest.raises(Unreadable, match="has a CLOSE_API_KEY_BLOCK in junk that is no block's name"):
        reading(folder, "", whole=IN_THE_POOL % f"env: {{CLOSE_API_KEY_BLOCK: {block}}}")


def test_outputs_of_build_steps_are_left_to_prefect(folder: Path) -> None:
    image = "{{ build-image.image }}"
    build = "build: [{prefect_docker.deployments.steps.build_docker_image: {id: build-image}}]\n"
    [junk] = reading(folder, "", whole=build + IN_THE_POOL % f'image: "{image}"').deployments
    assert junk.entry["work_pool"]["job_variables"]["image"] == image
    with pytest.raises(Unreadable, match="nothing resolves"):
        reading(folder, f'parameters: {{match: {{smart_view: "{image}"}}}}', whole=build + ENTRY)


@pytest.mark.parametrize(
    ("more", "sentence"),
    [
        ("parameters: {x: .inf}", "has a value in junk.parameters.x that JSON can't hold"),
        ("parameters: {x: !!set {a}}", "has a value in junk.parameters.x that JSON can't hold"),
        ("parameters: {x: {1: a}}", "has the key 1 in junk.parameters.x, which is not text: put it in quotes"),
        (r'parameters: {x: "a\0"}', "has text in junk.parameters.x that can't be stored"),
        ("schedules: 3", "has a deployment junk that can't be used: schedules: write a list"),
        ("build: x", "has a deployment junk that can't be used: build: write a list"),
        ("pull: [{prefect.deployments.steps.x: 3}]", "has a deployment junk that can't be used: pull.0.prefect"),
        ("parameters: [1]", "has a deployment junk that can't be used: parameters: write an object"),
        ("parameters: &p {x: *p}", "has something in junk that contains itself"),
        ("parameters: {limit: 5}", "has limit in junk.parameters, which tidy doesn't take; did you mean 'limits'?"),
        ("paused: 'no'", "has a deployment junk that can't be used: paused: write true or false"),
        ("schedules: [{slug: a, cron: 0 6 * * *, parameters: {limit: 5}}]", "has limit in junk.schedules.a.parameters"),
        (
            "schedules: [{slug: a, cron: zz}]",
            "has a schedule of junk that can't be used: cron: write a cron expression",
        ),
        (
            "schedules: [{slug: a, interval: 0}]",
            "has a schedule of junk that can't be used: interval: write a number",
        ),
        (
            "schedules: [{slug: a}]",
            "has a schedule of junk that can't be used: write one of cron, interval and rrule",
        ),
        (
            "schedules: [{slug: a, cron: 0 6 * * *, active: 'no'}]",
            "has a schedule of junk that can't be used: active: write",
        ),
        ("schedule: {cron: 0 6 * * *}", "has schedule in junk: write a list called schedules"),
        ("schedules: [{cron: 0 6 * * *}]", "has a schedule of junk that can't be used: slug: it is missing"),
        ("schedules: [{slug: a, cron: never}]", "has a schedule of junk that can't be used"),
        ("schedules: [{slug: a, cron: 0 6 * * *, hours: 2}]", "has a schedule of junk that can't be used"),
        (
            "schedules: [{slug: a, cron: 0 6 * * *}, {slug: a, cron: 0 7 * * *}]",
            "has two schedules of junk with the slug 'a': rename one",
        ),
        ("name: stale", "has the key 'name' twice, on lines 3 and 6: remove one"),
    ],
)
def test_what_can_not_be_stored_or_scheduled_as_it_is_written_is_refused(
    folder: Path, more: str, sentence: str
) -> None:
    with pytest.raises(Unreadable, match="^" + sentence.replace("{", r"\{")):
        reading(folder, more)


@pytest.mark.parametrize(
    "entrypoint",
    ["nowhere.py:tidy", "tidy.py:nothing", "broken.py:tidy", "tidy", "tidy:tidy", "wrong.py:tidy", "ends.py:tidy"],
)
def test_an_entrypoint_that_can_not_be_loaded_is_refused(folder: Path, entrypoint: str) -> None:
    """Prefect deploys it all the same, with parameters guessed from its text."""
    (folder / "broken.py").write_text("import nothing_of_this_name\n")
    (folder / "wrong.py").write_text("nothing_of_this_name\n")
    (folder / "ends.py").write_text("import sys\n\nsys.exit(3)\n")
    with pytest.raises(Unreadable, match="has an entrypoint in junk that can't be loaded"):
        reading(folder, "", whole=ENTRY.replace("tidy.py:tidy", entrypoint))


@pytest.mark.parametrize("whole", ["", "a: b", "[]", "deployments: 3", "deployments: []", "deployments: [a]"])
def test_a_file_without_deployments_is_refused(folder: Path, whole: str) -> None:
    with pytest.raises(Unreadable, match=r"^can't be used: "):
        reading(folder, "", whole=whole)


@pytest.mark.parametrize("name", ["", "name: null", "name: ''", "name: 3", "name: a/b"])
def test_a_deployment_without_a_name_is_refused(folder: Path, name: str) -> None:
    with pytest.raises(Unreadable, match="has a deployment without a name"):
        reading(folder, "", whole=ENTRY.replace("name: junk", name or "tags: []"))


def test_two_deployments_of_one_name_are_refused(folder: Path) -> None:
    with pytest.raises(Unreadable, match="has two deployments called junk"):
        reading(folder, "", whole=ENTRY + ENTRY.replace("deployments:\n", ""))


def test_a_deployment_without_an_entrypoint_is_refused(folder: Path) -> None:
    with pytest.raises(Unreadable, match="has a deployment junk that can't be used: entrypoint: it is missing"):
        reading(folder, "", whole=ENTRY.replace("entrypoint: tidy.py:tidy", "tags: []"))


def test_a_date_is_kept_as_it_is_written(folder: Path) -> None:
    [junk] = reading(folder, "parameters: {since: 2024-01-01}").deployments
    assert junk.parameters == {"since": "2024-01-01"}
