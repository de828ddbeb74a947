"""The thread that runs bulk deletes and exports, and lets the search index catch up."""

from __future__ import annotations

import threading

from sqlalchemy import exists, select

from deployments.sandbox.database import schema
from deployments.sandbox.jobs import bulk_deletes, exports
from deployments.sandbox.objects.delete_leads import delete_due_rows
from deployments.sandbox.state import State, Tenant

TICK = 0.05  # seconds between two steps
_jobs, _files = schema.bulk_deletes, schema.exports
OPEN_JOBS = (
    select(_jobs).where(_jobs.c.phase.not_in(bulk_deletes.FINAL), _jobs.c.paused_at.is_(None)).order_by(_jobs.c.pk)
)
OPEN_FILES = select(_files).where(_files.c.status.not_in(exports.FINAL))
BUSY = select(exists(OPEN_JOBS), exists(OPEN_FILES), exists(select(schema.removals)))


class Worker:
    """Sleeps until there is work, then does a step of it twenty times a second."""

    def __init__(self, state: State) -> None:
        self._state = state
        self._wake = threading.Event()
        self._stopping = False
        self._thread = threading.Thread(target=self._run, name="sandbox-worker")

    def start(self) -> None:
        """Start, also with unfinished work of an earlier process."""
        self._wake.set()
        self._thread.start()

    def stop(self) -> None:
        """Stop after the current transaction."""
        self._stopping = True
        self._wake.set()
        if self._thread.is_alive():
            self._thread.join()

    def wake(self) -> None:
        """Signal that there may be work."""
        self._wake.set()

    def _run(self) -> None:
        stop = threading.Event()
        while not self._stopping:
            self._wake.wait()
            self._wake.clear()
            while not self._stopping and self._work_everywhere():
                stop.wait(TICK)

    def _work_everywhere(self) -> bool:
        busy = [self._work(tenant) for tenant in self._state.tenants]
        return any(busy)

    def _work(self, tenant: Tenant) -> bool:
        """Do one step of everything unfinished. Returns whether there was anything."""
        with tenant.store.reading() as connection:
            jobs, files, removals = connection.execute(BUSY).one()
            waiting = connection.execute(OPEN_FILES).all() if files else ()
        if jobs or removals:
            with tenant.store.writing() as connection:
                for job in connection.execute(OPEN_JOBS).all():
                    bulk_deletes.advance(connection, tenant, self._state, job)
                delete_due_rows(connection)
        for export in waiting:
            exports.advance(tenant, self._state, export)
        return bool(jobs or files or removals)
