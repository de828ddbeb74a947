"""Compares the ledger with Close's own list of bulk deletes: after a database was restored or moved they may differ.

Only reads, in Close and in Prefect.
"""

from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import cast

from prefect.client.schemas.filters import FlowRunFilter
from prefect.client.schemas.objects import FlowRun

from tasks.bulk_delete.find import MAY_START_YET, has_marks, visible_in_seconds
from tasks.close.query.rewrite import instants_in
from tasks.close.resources import BulkDelete
from tasks.ledger import store as ledger
from tasks.ledger.record import Record
from tasks.runs.connect import connect, prefect
from tasks.runs.run import AD_HOC, run_of
from tasks.runs.wording import MINUTE, counted

CUT_OFF_FIELDS = {"date_created", "date_updated"}
"""The fields that every cleanup's query compares with the run's cut-off: `tasks.criteria.selection`."""


@dataclass(frozen=True)
class Check:
    """What the comparison found, in sentences."""

    differences: tuple[str, ...]
    """Where the ledger and Close disagree."""
    notes: tuple[str, ...]
    """What else a person should know: what agrees, and what was not compared."""


def check() -> Check:
    """Compare all claims in the organisation of this key with its bulk deletes. Raises `Stop`, and a CloseError.

    Close is read first, and a run claims before it starts anything: so what Close lists has its claim by then.
    """
    with connect() as close:
        organization_id = close.organization_id()
        jobs = close.bulk_deletes()
        records, unreadable = ledger.list_all()
        young = {each.name for each in records if visible_in_seconds(close, each) > 0}
    ours = [each for each in records if each.organization_id == organization_id]
    others = {each.organization_id for each in records} - {organization_id}
    named = {each.bulk_delete_id for each in ours}
    unnamed = [job for job in jobs if job.id not in named]
    unknown = [job for job in unnamed if not _claims_of(job, ours)]
    of_cleanups = [job for job in unknown if marks_in(job.s_query)]
    old = [job for job in of_cleanups if job.finished and _is_old(job)]
    return Check(
        differences=(
            *unreadable,
            *(said for each in ours for said in _of_claim(each, jobs, may_start_yet=each.name in young)),
            *(_not_named(job, found[-1]) for job in unnamed if (found := _claims_of(job, ours))),
            *(_unknown(job) for job in of_cleanups if job not in old),
        ),
        notes=tuple(_notes(len(ours), len(jobs), len(unknown) - len(of_cleanups), len(old), others)),
    )


def marks_in(s_query: Mapping[str, object] | None) -> tuple[datetime, ...]:
    """The cut-offs in a cleanup's query: two instants of one second, before which a lead was created and edited.

    Empty for any other query, as of a bulk delete that a person has started in Close.
    """
    found: dict[str, list[datetime]] = {name: [] for name in CUT_OFF_FIELDS}
    for clause in _mappings((s_query or {}).get("queries")):
        field, condition = clause.get("field"), clause.get("condition")
        if isinstance(field, Mapping) and isinstance(condition, Mapping):
            name = str(cast("Mapping[str, object]", field).get("field_name"))
            found.setdefault(name, []).extend(instants_in(cast("Mapping[str, object]", condition).get("before")))
    for created in found["date_created"]:
        for updated in found["date_updated"]:
            if created.replace(microsecond=0) == updated.replace(microsecond=0):
                return created, updated
    return ()


def _mappings(value: object) -> Iterator[Mapping[str, object]]:
    for each in cast("list[object]", value) if isinstance(value, list) else []:
        if isinstance(each, Mapping):
            yield cast("Mapping[str, object]", each)


def _claims_of(job: BulkDelete, records: Sequence[Record]) -> list[Record]:
    """The claims whose marks *job* carries, the run's last one last."""
    return sorted((each for each in records if has_marks(job, each.marks)), key=lambda each: each.claim)


def _of_claim(record: Record, jobs: Sequence[BulkDelete], *, may_start_yet: bool) -> Iterator[str]:
    """What Close doesn't list of *record*."""
    if record.bulk_delete_id:
        if record.bulk_delete_id not in {job.id for job in jobs}:
            yield f"Close does not list the bulk delete of run {record.line}."
    elif not record.ended and not any(has_marks(job, record.marks) for job in jobs):
        again = f" {MAY_START_YET}" if may_start_yet else ""
        yield f"Close lists no bulk delete for the open claim of run {record.line}.{again}"


def _not_named(job: BulkDelete, record: Record) -> str:
    open_claim = record.bulk_delete_id is None and not record.ended
    finds = f" `lead-cleanup resume {record.run_id}` finds it." if open_claim else ""
    return f"Bulk delete {_line(job)} carries the marks of a claim that does not name it: run {record.line}.{finds}"


def _unknown(job: BulkDelete) -> str:
    runs = [
        f"Run {run.id} ({run.name}, {run.state_name} in Prefect) has its marks: when it runs again, it finds this bulk "
        "delete and starts no other."
        for run in _runs_with(marks_in(job.s_query))
    ]
    return " ".join([f"No claim knows bulk delete {_line(job)}.", *(runs or ["Prefect has no run with its marks."])])


def _runs_with(marks: Sequence[datetime]) -> list[FlowRun]:
    """The runs that Prefect has with these marks. They begin within the second after the marks' own."""
    second = marks[0].replace(microsecond=0)
    due = {"expected_start_time": {"after_": second, "before_": second + timedelta(seconds=2)}}
    with prefect() as server:
        found = server.read_flow_runs(flow_run_filter=FlowRunFilter.model_validate(due))
    runs = [(each, run_of(each, AD_HOC)) for each in found]
    return [each for each, run in runs if sorted(marks) == sorted((run.as_of, run.updated_before or run.as_of))]


def _notes(claims: int, listed: int, by_others: int, old: int, organizations: Collection[str]) -> Iterator[str]:
    yield f"Compared {counted(claims, 'claim')} with {counted(listed, 'bulk delete')} that Close lists."
    if by_others:
        yield f"{counted(by_others, 'bulk delete')} of these, by their queries, no cleanup has started."
    if old:
        yield f"{counted(old, 'bulk delete')} of these ended longer ago than claims are kept, and have none."
    if organizations:
        yield f"Claims in {', '.join(sorted(organizations))} are not compared: that takes a key of each organisation."


def _is_old(job: BulkDelete) -> bool:
    return job.date_created is not None and datetime.now(UTC) - job.date_created > ledger.KEPT_FOR


def _line(job: BulkDelete) -> str:
    started = f", started {job.date_created:{MINUTE}}" if job.date_created else ""
    status = job.status or "in an unknown status"
    return f"{job.id} ({status}, {job.progress}{started} by {job.created_by or 'somebody'})"
