"""A backup, against curl and gzip of the same export; and what it adds to the memory of its process."""

import json
import subprocess
import sys
import time
import zlib
from collections.abc import Generator, Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from statistics import median
from tempfile import TemporaryDirectory
from typing import Any

from bench.child import child, peak_memory
from bench.places import ROOT
from bench.table import Row

SIZES = {10_000: 3, 200_000: 1}
"""Leads, and how often to measure."""
FEW = 100
ALLOWED = 64  # MiB
NOTE = "Spoke to her about the offer; she will come back to us after the fair. " * 4


def rows() -> list[dict[str, Any]]:
    """The rows of this subject."""
    with TemporaryDirectory(prefix="bench-") as name:
        folder = Path(name)
        for leads in (FEW, *SIZES):
            write_export(folder / f"{leads}.json.gz", leads)
        with serving_exports(folder) as url:
            found = [row for leads in SIZES for row in _rows(folder, url, leads)]
    return [row.model_dump() for row in found]


def _rows(folder: Path, url: str, leads: int) -> list[Row]:
    times: list[float] = []
    peers: list[float] = []
    growths: list[float] = []
    for number in range(SIZES[leads]):
        peers.append(_curl(folder, f"{url}/file_{leads}"))
        taken = child("bench.backups:back_up", url, str(folder / f"{leads}-{number}"), leads, log=folder / "log")
        times.append(taken["seconds"])
        growths.append(taken["growth"])
    return [
        Row(
            what=f"Backup of {leads:,} leads, verified",
            value=median(times),
            unit="s",
            against="curl and gzip of the same export",
            peer=median(peers),
        ),
        Row(
            what=f"Growth of memory in a backup of {leads:,} leads",
            value=max(growths),
            unit="MiB",
            against="the limit",
            peer=ALLOWED,
            aim=1,
        ),
    ]


def _curl(folder: Path, url: str) -> float:
    began = time.monotonic()
    command = f"set -o pipefail; curl --silent --show-error --fail --compressed {url} | gzip > {folder}/by-curl.gz"
    subprocess.run(["bash", "-c", command], check=True)
    return time.monotonic() - began


def back_up(url: str, folder: str, leads: int) -> dict[str, float]:
    """Seconds that a backup takes, and MiB by which the peak of this process grows after a backup of few leads."""
    _back_up(url, f"{folder}-few", FEW)
    before, began = peak_memory(), time.monotonic()
    _back_up(url, folder, leads)
    return {"seconds": time.monotonic() - began, "growth": peak_memory() - before}


def _back_up(url: str, folder: str, leads: int) -> None:
    from tasks.backup.archive import Archive, Manifest
    from tasks.backup.export import store
    from tasks.close.client import CloseClient
    from tasks.close.settings import CloseSettings
    from tasks.criteria.policy import Keep, Match
    from tasks.criteria.selection import Criteria

    archive = Archive.at(f"{folder}/orga_1/run")
    criteria = Criteria(Match(status=["Junk"]), Keep(), datetime.now(UTC))
    settings = CloseSettings.model_validate({"api_url": f"{url}/api/v1/", "api_key": "api_a.b"})
    with CloseClient(settings) as close:
        written = store(close, close.export(f"expo_{leads}"), archive, criteria)
    at = {"as_of": "", "made_at": datetime.now(UTC), "keep_until": datetime.now(UTC)}
    facts: dict[str, Any] = {"organization_id": "orga_1", "flow_run_id": "run", "digest": "", "s_query": {}, **at}
    archive.verify(Manifest(**facts, **written._asdict()))
    assert written.leads == leads


def write_export(file: Path, leads: int) -> None:
    """A file as Close's export makes it: one JSON array, compressed."""
    with file.open("wb") as output:
        for piece in _packed(leads):
            output.write(piece)


def _packed(leads: int) -> Iterator[bytes]:
    packer = zlib.compressobj(6, wbits=31)
    for begin in range(0, leads, 100):
        found = ",".join(json.dumps(_lead(number)) for number in range(begin, begin + 100))
        yield packer.compress(f"{',' if begin else '['}{found}".encode())
    yield packer.compress(b"]") + packer.flush()


def _lead(number: int) -> dict[str, object]:
    """About two kilobytes."""
    contacts = [{"id": f"cont_{number}", "name": f"Contact {number}", "emails": [{"email": f"c{number}@example.com"}]}]
    activities = [{"id": f"acti_{number}_{each}", "_type": "Note", "note": f"{each}: {NOTE}"} for each in range(5)]
    return {"id": f"lead_{number:043}", "name": f"Lead {number}", "contacts": contacts, "activities": activities}


@contextmanager
def serving_exports(folder: Path) -> Generator[str]:
    command = (sys.executable, "-m", "bench.backups", str(folder))
    with subprocess.Popen(command, cwd=ROOT, stdout=subprocess.PIPE) as process:
        assert process.stdout
        try:
            yield process.stdout.readline().decode().strip()
        finally:
            process.terminate()


class Exports(BaseHTTPRequestHandler):
    """Close, as far as an export that is done goes: ``expo_<n>`` has *n* leads."""

    protocol_version = "HTTP/1.1"
    folder = Path()

    def do_GET(self) -> None:
        leads = int(self.path.rstrip("/").rpartition("_")[2])
        if self.path.startswith("/api/"):
            url = f"http://{self.headers['host']}/file_{leads}"
            body = json.dumps({"id": f"expo_{leads}", "status": "done", "download_url": url}).encode()
            self._begin({"content-length": str(len(body))})
            self.wfile.write(body)
            return
        file = self.folder / f"{leads}.json.gz"
        self._begin({"content-encoding": "gzip", "content-length": str(file.stat().st_size)})
        with file.open("rb") as found:
            while piece := found.read(1 << 16):
                self.wfile.write(piece)

    def _begin(self, headers: dict[str, str]) -> None:
        self.send_response(200)
        for name, value in headers.items():
            self.send_header(name, value)
        self.end_headers()

    def log_message(self, format: str, *args: object) -> None:
        pass


if __name__ == "__main__":
    Exports.folder = Path(sys.argv[1])
    server = ThreadingHTTPServer(("127.0.0.1", 0), Exports)
    print(f"http://127.0.0.1:{server.server_address[1]}", flush=True)  # noqa: T201 - the parent reads it
    server.serve_forever()
