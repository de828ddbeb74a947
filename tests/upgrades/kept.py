"""What lies about a run on a Prefect server, at Close and in storage: kept as files, and put back as it was.

A folder is one situation in which an upgrade may find things: ``prefect.json``, ``close.json`` and, where there
are any, the backups. Nothing here knows what the code makes of it. Addresses that differ each time stand there as
``{backups}`` and ``{close}``.
"""

import json
import shutil
import time
from collections.abc import Iterable
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import httpx
from prefect.settings import PREFECT_API_URL
from support.close_account import CloseAccount
from support.prefect_database import in_database, stored

Json = dict[str, Any]

BULK_DELETE = "/bulk_action/delete/"
RUN = ("id", "name", "parameters", "tags", "labels", "run_count", "empirical_policy")
INSTANTS = ("expected_start_time", "start_time")
STATE = ("type", "name", "message", "timestamp")
DETAILS = ("scheduled_time", "pause_timeout", "pause_reschedule", "pause_key", "run_input_keyset")
JOB = ("id", "s_query", "status", "n_leads", "n_leads_processed")


@dataclass
class Kept:
    """One situation."""

    runs: list[Json] = field(default_factory=list[Json])
    variables: list[Json] = field(default_factory=list[Json])
    leads: list[Json] = field(default_factory=list[Json])
    jobs: list[Json] = field(default_factory=list[Json])

    @property
    def id(self) -> str:
        """The id of the run that it is about: the first."""
        return str(self.runs[0]["id"])


# --- Keeping ----------------------------------------------------------------------------------------------------------


def keep(folder: Path, run_ids: Iterable[str], leads: list[Json], sandbox: CloseAccount, backups: Path) -> None:
    """Write down in *folder* how these runs stand, every Variable, and how Close stands after it had these *leads*."""
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir(parents=True)
    with _server() as prefect:
        runs = [_run(prefect, each) for each in run_ids]
        variables = [
            _of(each, ("name", "value", "tags"))
            for each in sorted(_asked(prefect, "/variables/filter", limit=200), key=lambda each: each["created"])
        ]
    jobs = [_of(each, JOB) for each in reversed(sandbox.get(BULK_DELETE)["data"])]

    def written(value: Json) -> str:
        text = json.dumps(value, indent=2, ensure_ascii=False) + "\n"
        return text.replace(str(backups), "{backups}").replace(sandbox.base, "{close}")

    (folder / "prefect.json").write_text(written({"runs": runs, "variables": variables}))
    (folder / "close.json").write_text(written({"leads": leads, "jobs": jobs}))
    if backups.exists():
        shutil.copytree(backups, folder / "backups")
        for each in _texts(folder / "backups"):
            each.write_text(each.read_text().replace(str(backups), "{backups}"))


def _run(prefect: httpx.Client, run_id: str) -> Json:
    found = _got(prefect, f"/flow_runs/{run_id}")
    deployment = found["deployment_id"]
    return {
        "flow": _got(prefect, f"/flows/{found['flow_id']}")["name"],
        "deployment": _got(prefect, f"/deployments/{deployment}")["name"] if deployment else None,
        **_of(found, (*RUN, *INSTANTS)),
        "labels": {name: each for name, each in found["labels"].items() if not name.startswith("prefect.")},
        "states": [
            {**_of(each, STATE), "state_details": _given(_of(each["state_details"], DETAILS))}
            for each in _states(prefect, run_id)
        ],
        "inputs": [
            _of(each, ("key", "value"))
            for each in _asked(prefect, f"/flow_runs/{run_id}/input/filter", prefix="", limit=200)
        ],
        "artifacts": [
            _given(_of(each, ("type", "key", "data", "description")))
            for each in sorted(artifacts_of(run_id), key=lambda each: each["created"])
        ],
    }


def _states(prefect: httpx.Client, run_id: str) -> list[Json]:
    """Oldest first."""
    found: list[Json] = _sent(prefect, "GET", "/flow_run_states/", params={"flow_run_id": run_id})
    return sorted(found, key=lambda each: each["timestamp"])


def _server() -> httpx.Client:
    return httpx.Client(base_url=str(PREFECT_API_URL.value()), timeout=60)


def _got(prefect: httpx.Client, path: str) -> Json:
    return _sent(prefect, "GET", path)


def _asked(prefect: httpx.Client, path: str, **body: Any) -> Any:
    return _sent(prefect, "POST", path, json=body)


def _sent(prefect: httpx.Client, method: str, path: str, **more: Any) -> Any:
    """What the server answers, None where it knows no such thing; asked again while its database is busy."""
    answer = prefect.request(method, path, **more)
    while answer.status_code == 503:
        time.sleep(0.2)
        answer = prefect.request(method, path, **more)
    if answer.status_code == 404:
        return None
    return answer.raise_for_status().json() if answer.content else None


def _of(value: Json, names: Iterable[str]) -> Json:
    return {name: value.get(name) for name in names}


def _given(value: Json) -> Json:
    return {name: each for name, each in value.items() if each not in (None, False)}


def _texts(backups: Path) -> list[Path]:
    return [each for each in sorted(backups.rglob("*.json*")) if each.suffix in {".json", ".jsonl"}]


# --- Putting back -----------------------------------------------------------------------------------------------------


def put_back(folder: Path, sandbox: CloseAccount, backups: Path) -> Kept:
    """Have the server, the *sandbox* and the folder *backups* hold what *folder* says, and give it.

    Close gives its bulk deletes new ids, which then stand wherever the old ones did. What came to the *sandbox* for
    this is not in its journal.
    """
    close = json.loads(_filled((folder / "close.json").read_text(), sandbox, backups))
    sandbox.add(*close["leads"])
    new_ids = {job["id"]: _bulk_delete(sandbox, job) for job in close["jobs"]}
    sandbox.jobs()
    sandbox.forget_requests()

    def renewed(text: str) -> str:
        for old, new in new_ids.items():
            text = text.replace(old.partition("_")[2], new.partition("_")[2])  # in markdown, the _ is escaped
        return _filled(text, sandbox, backups)

    if (folder / "backups").exists():
        shutil.copytree(folder / "backups", backups)
        for each in _texts(backups):
            each.write_text(renewed(each.read_text()))
    kept = Kept(**json.loads(renewed((folder / "prefect.json").read_text())), leads=close["leads"])
    kept.jobs = json.loads(renewed(json.dumps(close["jobs"])))
    with _server() as prefect:
        for each in kept.runs:
            _put_run(prefect, each)
        for each in kept.variables:
            _asked(prefect, "/variables/", **each)
    return kept


def _filled(text: str, sandbox: CloseAccount, backups: Path) -> str:
    return text.replace("{backups}", str(backups)).replace("{close}", sandbox.base)


def _bulk_delete(sandbox: CloseAccount, job: Json) -> str:
    """A bulk delete that has come as far as *job* had: its new id."""
    deleted = job["n_leads_processed"]
    if job["status"] == "paused":
        sandbox.jobs(status="paused", stall_after=deleted)
    else:
        sandbox.jobs(leads_per_second=5000 if job["status"] == "done" else 3)
    new = str(sandbox.post(BULK_DELETE, s_query=job["s_query"], send_done_email=False)["id"])
    deadline = time.monotonic() + 60
    while job["status"] in {"done", "paused"}:
        found = sandbox.get(f"{BULK_DELETE}{new}/")
        if (found["status"], found["n_leads_processed"]) == (job["status"], deleted):
            break
        assert time.monotonic() < deadline, found
        time.sleep(0.02)
    return new


def artifacts_of(run_id: str) -> list[Json]:
    """Everything that the run has published, as the server has it."""
    with _server() as prefect:
        return _asked(prefect, "/artifacts/filter", artifacts={"flow_run_id": {"any_": [run_id]}})


def change_artifact(artifact_id: str, data: object) -> None:
    """Have the artifact hold *data*."""
    with _server() as prefect:
        _sent(prefect, "PATCH", f"/artifacts/{artifact_id}", json={"data": data})


def _put_run(prefect: httpx.Client, run: Json) -> None:
    """The API lets nobody choose a run's id, nor the instants of its states: these are set in the database."""
    _sent(prefect, "DELETE", f"/flow_runs/{run['id']}")  # from an earlier test
    for each in artifacts_of(run["id"]):
        _sent(prefect, "DELETE", f"/artifacts/{each['id']}")
    first, *others = [_state(each) for each in run["states"]]
    values = {**_of(run, ("name", "parameters", "tags", "labels", "empirical_policy")), "state": first}
    flow_id = _asked(prefect, "/flows/", name=run["flow"])["id"]
    if run["deployment"]:
        deployment = _asked(prefect, "/deployments/", name=run["deployment"], flow_id=flow_id)
        created = _asked(prefect, f"/deployments/{deployment['id']}/create_flow_run", **values)
    else:
        created = _asked(prefect, "/flow_runs/", **values, flow_id=flow_id)
    in_database(
        ("UPDATE flow_run SET id = ? WHERE id = ?", (run["id"], created["id"])),
        ("UPDATE flow_run_state SET flow_run_id = ? WHERE flow_run_id = ?", (run["id"], created["id"])),
    )
    for each in others:
        _asked(prefect, f"/flow_runs/{run['id']}/set_state", state=each, force=True)
    for each in run["inputs"]:
        _asked(prefect, f"/flow_runs/{run['id']}/input", **each)
    for each in run["artifacts"]:
        _asked(prefect, "/artifacts/", **each, flow_run_id=run["id"])
    _set_instants(prefect, run)


def _state(state: Json) -> Json:
    """A state as the API takes it. A request for approval that has not expired does not expire here either."""
    found = {**state, "state_details": {**state["state_details"]}}
    del found["timestamp"]
    if "pause_timeout" in found["state_details"]:
        found["state_details"]["pause_timeout"] = (datetime.now(UTC) + timedelta(hours=72)).isoformat()
    return found


def _set_instants(prefect: httpx.Client, run: Json) -> None:
    instants = [stored(each["timestamp"]) for each in run["states"]]
    in_database(
        *(
            ("UPDATE flow_run_state SET timestamp = ? WHERE id = ?", (instant, each["id"]))
            for each, instant in zip(_states(prefect, run["id"]), instants, strict=True)
        ),
        (
            "UPDATE flow_run SET state_timestamp = ?, expected_start_time = ?, start_time = ?, run_count = ? "
            "WHERE id = ?",
            (
                instants[-1],
                *(stored(run[name]) for name in INSTANTS),
                run["run_count"],
                run["id"],
            ),
        ),
    )
