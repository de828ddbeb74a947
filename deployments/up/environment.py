"""Where ``make up`` keeps what it stores, and the environment of all that it starts.

Each organisation has a folder with a Prefect server's data of its own, so that the made-up one never meets the key, the
records or the runs of a real one; and ``~/.prefect`` stays as it is.
"""

import fcntl
import os
import socket
from collections.abc import Generator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from flows.console.terminal import Usage
from tasks.close.settings import data_folder

HOST = "127.0.0.1"
SERVER = {
    "PREFECT_SERVER_ANALYTICS_ENABLED": "false",
    "PREFECT_SERVER_EVENTS_EXPIRED_BUCKET_BUFFER": "P7D",
    "PREFECT_SERVER_CONCURRENCY_LEASE_STORAGE": "prefect.server.concurrency.lease_storage.filesystem",
    "PREFECT_SERVER_SERVICES_TASK_RUN_RECORDER_BATCH_SIZE": "50",
}
"""What `make server` sets, too; the Makefile says why."""
POLL_SECONDS = 2
"""How often the worker looks for runs: a person is waiting."""


@dataclass(frozen=True)
class Place:
    """The folder of one organisation, and the port of its Prefect server."""

    folder: Path
    port: int

    @property
    def ui(self) -> str:
        """The address of the Prefect UI."""
        return f"http://{HOST}:{self.port}"

    @property
    def api(self) -> str:
        """The address of the Prefect API."""
        return f"{self.ui}/api"

    def log(self, name: str) -> Path:
        """The file with what the process called *name* prints."""
        return self.folder / f"{name}.log"


def folder(name: str) -> Path:
    """Where everything of the organisation called *name* is kept."""
    return data_folder() / "up" / name


@contextmanager
def alone_in(place: Place) -> Generator[None]:
    """Nobody else uses the folder or the port. Raises `Usage`."""
    place.folder.mkdir(parents=True, exist_ok=True)
    place.folder.chmod(0o700)  # it holds the key, and the names of leads
    with (place.folder / "lock").open("w") as lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError:
            raise Usage("make up is running already: Ctrl-C in its terminal stops it.") from None
        with socket.socket() as probe:
            if probe.connect_ex((HOST, place.port)) == 0:
                raise Usage(
                    f"Port {place.port} is in use, perhaps by `make server`: stop what listens there, "
                    f"or choose another: make up PORT={place.port + 1}"
                )
        yield


def enter(environment: Mapping[str, str], place: Place) -> None:
    """Make *environment* that of this process and of all that it starts, away from the ``.env`` of any other folder."""
    os.environ.clear()
    os.environ.update(environment)
    os.chdir(place.folder)


def of_sandbox(place: Place, close: str) -> dict[str, str]:
    """The environment for the stand-in for Close at *close*: nothing that is set for Close or Prefect counts."""
    clean = {name: value for name, value in os.environ.items() if not name.startswith(("CLOSE_", "PREFECT_"))}
    clean.pop("SSL_CERT_FILE", None)
    return {
        **clean,
        **_of_prefect(place),
        "NO_PROXY": "*",  # it talks to this machine alone
        "no_proxy": "*",
        "CLOSE_ENV_FILE": "",  # runs are in the folder of prefect.yaml, where there may be one
        "CLOSE_API_URL": close,
        "CLOSE_BACKUP_URL": str(place.folder / "backups"),
    }


def of_organization(place: Place, organization_id: str) -> dict[str, str]:
    """The environment for a real organisation, without the key, which is kept in the Secret block only."""
    clean = {name: value for name, value in os.environ.items() if not name.startswith("PREFECT_")}
    for name in ("CLOSE_API_KEY", "CLOSE_ACCESS_TOKEN"):
        clean.pop(name, None)
    local = ",".join(filter(None, [os.environ.get("NO_PROXY") or os.environ.get("no_proxy"), HOST]))
    return {
        **clean,
        **_of_prefect(place),
        "NO_PROXY": local,
        "no_proxy": local,
        "CLOSE_ORGANIZATION_ID": organization_id,
    }


def _of_prefect(place: Place) -> dict[str, str]:
    return {
        **SERVER,
        "DO_NOT_TRACK": "1",
        "PREFECT_HOME": str(place.folder / "prefect"),
        "PREFECT_API_URL": place.api,
        "PREFECT_SERVER_API_HOST": HOST,
        "PREFECT_SERVER_API_PORT": str(place.port),
        "PREFECT_SERVER_UI_API_URL": place.api,  # by default, the UI asks port 4200
        "PREFECT_WORKER_QUERY_SECONDS": str(POLL_SECONDS),
    }
