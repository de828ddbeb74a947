"""A backup takes as much memory for two hundred thousand leads as for two: it is written while it is read."""

import json
import subprocess
import sys
import threading
import zlib
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest

pytestmark = [pytest.mark.exhaustive, pytest.mark.timeout(1800)]

LEADS = 200_000
ALLOWED = 64  # MiB
NOTE = "Spoke to her about the offer; she will come back to us after the fair. " * 4

BACK_UP = """
import json, resource, sys
from datetime import UTC, datetime
from functools import partial
from tasks.backup.archive import Archive, Manifest
from tasks.backup.export import store
from tasks.close.client import CloseClient
from tasks.close.settings import CloseSettings
from tasks.criteria.exported import agreeing
from tasks.criteria.policy import Keep, Match

def peak():
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024

def back_up(name):
    archive = Archive.at(f"{sys.argv[2]}/orga_1/{name}")
    with CloseClient(CloseSettings(api_url=sys.argv[1], api_key="api_a.b")) as close:
        check = partial(agreeing, match=Match(status=["Junk"]), keep=Keep(), as_of=datetime.now(UTC))
        written = store(close, close.export(name), archive, check)
    times = {"made_at": "2026-01-01T00:00:00Z", "keep_until": "2026-02-01T00:00:00Z"}
    facts = {"organization_id": "orga_1", "flow_run_id": name, "as_of": "", "digest": "", "s_query": {}}
    archive.verify(Manifest(**facts, **times, leads=written.leads, file=written.file, sha256=written.sha256))
    return written.leads

back_up("expo_100")
before = peak()
print(json.dumps([back_up(f"expo_{sys.argv[3]}"), peak() - before]))
"""


def lead(number: int) -> dict[str, object]:
    """A lead as Close exports it, about two kilobytes long."""
    contacts = [{"id": f"cont_{number}", "name": f"Contact {number}", "emails": [{"email": f"c{number}@example.com"}]}]
    activities = [{"id": f"acti_{number}_{each}", "_type": "Note", "note": f"{each}: {NOTE}"} for each in range(5)]
    return {"id": f"lead_{number:043}", "name": f"Lead {number}", "contacts": contacts, "activities": activities}


def packed(leads: int) -> Iterator[bytes]:
    """An export's file, a piece at a time."""
    packer = zlib.compressobj(1, wbits=31)
    for begin in range(0, leads, 100):
        rows = ",".join(json.dumps(lead(number)) for number in range(begin, begin + 100))
        yield packer.compress(f"{',' if begin else '['}{rows}".encode())
    yield packer.compress(b"]") + packer.flush()


class Exports(BaseHTTPRequestHandler):
    """Close, as far as an export that is done goes: ``expo_<n>`` has *n* leads."""

    protocol_version = "HTTP/1.1"

    def do_GET(self) -> None:
        leads = int(self.path.rstrip("/").rpartition("_")[2])
        if self.path.startswith("/api/"):
            url = f"http://{self.headers['host']}/file_{leads}"
            body = json.dumps({"id": f"expo_{leads}", "status": "done", "download_url": url}).encode()
            self._begin({"content-length": str(len(body))})
            self.wfile.write(body)
            return
        self._begin({"content-encoding": "gzip", "transfer-encoding": "chunked"})
        for piece in filter(None, packed(leads)):
            self.wfile.write(b"%x\r\n%s\r\n" % (len(piece), piece))
        self.wfile.write(b"0\r\n\r\n")

    def _begin(self, headers: dict[str, str]) -> None:
        self.send_response(200)
        for name, value in headers.items():
            self.send_header(name, value)
        self.end_headers()

    def log_message(self, format: str, *args: object) -> None:
        pass


@pytest.fixture
def close() -> Iterator[str]:
    server = ThreadingHTTPServer(("127.0.0.1", 0), Exports)
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    yield f"http://127.0.0.1:{server.server_address[1]}/api/v1/"
    server.shutdown()
    thread.join()
    server.server_close()


def test_two_hundred_thousand_leads_take_no_more_memory_than_a_few(close: str, tmp_path: Path) -> None:
    """Measured in a process of its own: the growth of its peak, after a backup of a hundred leads."""
    command = [sys.executable, "-W", "ignore", "-c", BACK_UP, close, str(tmp_path / "backups"), str(LEADS)]
    done = subprocess.run(command, capture_output=True, text=True, check=False, cwd=Path(__file__).parents[2])

    assert done.returncode == 0, done.stderr
    leads, growth = json.loads(done.stdout)
    assert leads == LEADS
    assert growth < ALLOWED, f"{growth:.0f} MiB"
