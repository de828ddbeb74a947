"""The lock of a backup that isn't on this machine: a Prefect Variable, ``lead_cleanup_backup_<run>``, with an expiry.

Creating a Variable has one winner. The holder extends its lease while it works, and deletes the Variable at the end. A
dead holder's lease runs out: then a process that wants the lock deletes that very Variable, by its id, and creates its
own. Of several that see it expired, all delete the same one, and one creates the next. None waits for that, except a
retry of the flow run that died: it would not be retried again.
"""

import logging
from collections.abc import Generator
from contextlib import contextmanager, suppress
from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import UUID, uuid4

import httpx
from prefect.client.orchestration import SyncPrefectClient
from prefect.client.schemas.actions import VariableCreate
from prefect.client.schemas.objects import Variable
from prefect.exceptions import ObjectAlreadyExists
from prefect.runtime import flow_run
from prefect.settings import PREFECT_API_URL
from pydantic import AwareDatetime, BaseModel, ConfigDict, Field, ValidationError

from tasks.backup.folder import Locked
from tasks.backup.lock import Check
from tasks.runs import connect
from tasks.runs.connect import PrefectUnavailable
from tasks.runs.outcomes import Refused
from tasks.runs.run import TAG
from tasks.runs.versions import from_newer_version
from tasks.runs.wording import MINUTE

logger = logging.getLogger(__name__)

VERSION = 1
PREFIX = "lead_cleanup_backup_"
LEASE = timedelta(minutes=15)
STOP_BEFORE = timedelta(minutes=5)
"""How long before its lease ends a holder stops: clocks differ, and what it has sent may still take effect."""
EXTEND_AFTER = timedelta(seconds=5)
LOOK_AGAIN_AFTER = 10.0  # seconds
GONE = 404


class Lease(BaseModel):
    """The Variable's value. The field names are a contract: other versions read them."""

    model_config = ConfigDict(frozen=True)

    version: int = VERSION
    nonce: str = Field(default_factory=lambda: uuid4().hex)
    """Random: tells this holder's Variable from another's."""
    by: str
    """What holds the lock, such as "a restore"."""
    run: str | None = None
    """The id of the flow run that holds it, if one does."""
    until: AwareDatetime


@contextmanager
def leased(url: str, run_id: str, by: str) -> Generator[Check]:
    """Hold the lock of the run's backup at *url*. Raises `Locked` while another process holds it.

    Raises `Refused` without a lasting Prefect server, and `PrefectUnavailable`.
    """
    check_server(url)
    held = _Held(url, f"{PREFIX}{run_id}", by)
    held.acquire()
    try:
        yield held.check
    finally:
        held.release()


class _Held:
    """A lease that this process holds once it has acquired it."""

    _id: UUID

    def __init__(self, url: str, name: str, by: str) -> None:
        self._url, self._name = url, name
        self._extended = _now()
        self._lease = Lease(by=by, run=flow_run.get_id(), until=self._extended + LEASE)

    def acquire(self) -> None:
        """Create the Variable. Raises `Locked` if another process holds the lock and isn't a dead attempt of this run.

        For a dead attempt of this run it waits until that lease has run out.
        """
        seen: Lease | None = None
        while True:
            self._extended = _now()
            self._lease = self._lease.model_copy(update={"until": self._extended + LEASE})
            self._id, holder = self._create()
            if holder.nonce == self._lease.nonce:
                return
            alive = seen and holder != seen  # it has extended its lease, or is another
            if alive or holder.run is None or holder.run != self._lease.run:
                raise self._taken(holder)
            if seen is None:
                until = f"{holder.until:{MINUTE}}"
                logger.info("An earlier attempt holds the lock of %s until %s: waiting.", self._url, until)
            seen = holder
            connect.sleep(LOOK_AGAIN_AFTER)

    def _create(self) -> tuple[UUID, Lease]:
        """Create this process's Variable unless another's exists; return the id and the lease of the one that does."""
        with connect.prefect() as server:
            if found := server.read_variable_by_name(self._name):
                if (other := self._parse(found)).until > _now():
                    return found.id, other
                delete_variable(server, found.id)
            value = self._lease.model_dump(mode="json")
            with suppress(ObjectAlreadyExists):  # also our own: Prefect's client repeats a request without an answer
                server.create_variable(VariableCreate(name=self._name, value=value, tags=[TAG]))
            found = server.read_variable_by_name(self._name)
        if found is None:
            raise Locked(f"Somebody deleted the Prefect Variable {self._name}: repeat this.")
        return found.id, self._parse(found)

    def check(self) -> None:
        """Extend the lease. Raises `Locked` if it was taken over, or if it ends too soon to do anything more.

        A lease that has nearly ended isn't extended: somebody may see it expired at the same moment.
        """
        now = _now()
        if now > self._lease.until - STOP_BEFORE:
            raise self._lost()
        if now < self._extended + EXTEND_AFTER:
            return
        longer = self._lease.model_copy(update={"until": now + LEASE})
        body: dict[str, Any] = {"value": longer.model_dump(mode="json")}
        try:
            with connect.prefect() as server:
                server.request("PATCH", f"/variables/{self._id}", json=body).raise_for_status()  # pyright: ignore
        except PrefectUnavailable as error:
            if _is_gone(error.__cause__):
                raise self._lost() from None
            return  # the lease is as long as it was
        self._lease, self._extended = longer, now

    def release(self) -> None:
        """Delete this holder's own Variable. If that fails, its lease runs out."""
        try:
            with connect.prefect() as server:
                delete_variable(server, self._id)
        except PrefectUnavailable as error:
            until = f"{self._lease.until:{MINUTE}}"
            logger.warning("The lock of %s stays until %s: %s", self._url, until, error)

    def _parse(self, found: Variable) -> Lease:
        if newer := from_newer_version(f"The Prefect Variable {self._name}", found.value, VERSION):
            raise Locked(newer)
        try:
            return Lease.model_validate(found.value)
        except ValidationError:
            raise Locked(
                f"The Prefect Variable {self._name} isn't what locks {self._url}: somebody edited it. Delete it, once "
                "nobody restores that backup or erases data from it."
            ) from None

    def _taken(self, other: Lease) -> Locked:
        return Locked(
            f"{self._url} is locked by {other.by} until {other.until:{MINUTE}}, or longer while that is at "
            "work: repeat this when it has ended. If it was killed, its lock expires then."
        )

    def _lost(self) -> Locked:
        return Locked(
            f"The lock of {self._url} was lost: this process slept or waited for too long, or somebody deleted the "
            "lock. Nothing more was changed: repeat this."
        )


def check_server(url: str) -> None:
    """Raise `Refused` unless there is a lasting Prefect server, which keeps the lock of a backup at *url*."""
    if not PREFECT_API_URL.value():
        raise Refused(
            f"The locks of what is stored at {url} are kept by a Prefect server: start one with `make server`, and set "
            "PREFECT_API_URL to its address."
        )


def delete_variable(server: SyncPrefectClient, variable_id: UUID) -> None:
    """Delete this Variable, and none that bears its name since."""
    try:
        server.request("DELETE", f"/variables/{variable_id}").raise_for_status()  # pyright: ignore
    except httpx.HTTPStatusError as error:
        if not _is_gone(error):
            raise


def _is_gone(error: BaseException | None) -> bool:
    return isinstance(error, httpx.HTTPStatusError) and error.response.status_code == GONE


def _now() -> datetime:
    return datetime.now(UTC)
