"""Creates what a backup has, each object at most once, even if answers are lost or the process is killed.

The journal has an entry before each POST, and one with its result after it. Where the result is missing, it isn't known
whether the object exists: it is searched for in Close until Close shows it, or long enough that it would have.
"""

import logging
from collections import Counter
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from functools import cached_property
from typing import Any

from tasks.backup.archive import Archive
from tasks.backup.lock import locked
from tasks.close.client import CloseClient
from tasks.close.errors import BadRequest, CloseError, NotAllowed, NotFound
from tasks.close.pages import EVENTS_LATE_BY
from tasks.close.resources import Kind
from tasks.report.progress import Progress
from tasks.restore.id_mapping import IdMapping, Object
from tasks.restore.journal import Entry, Journal
from tasks.restore.new_objects import (
    NewLead,
    NewObject,
    check_sends_nothing,
    new_lead,
    pair_contacts,
    same_words,
)
from tasks.restore.plan import (
    RestorePlan,
    journals_of_other_backups,
    leads_to_restore,
    restored_from,
)
from tasks.runs.connect import connect
from tasks.runs.outcomes import Outcome, Stop, outcome_of
from tasks.runs.own_state import OwnState
from tasks.runs.retries import once

logger = logging.getLogger(__name__)

SETTLED_AFTER = EVENTS_LATE_BY
"""An object that Close doesn't show so long after its POST doesn't exist."""
SEARCH_AGAIN_AFTER = (1.0, 4.0, 15.0, 40.0)  # seconds; the last one repeats
EVENTS_KEPT = timedelta(days=29)  # Close keeps them for 30
TAKES_OVER_WITHIN = 30.0  # seconds that an earlier attempt of the run has to notice that this one has taken over
ATTEMPTS = 2  # at a POST without a usable answer that turns out to have created nothing
COMPARED = ("date_created", "activity_at", "status", "status_id", "user_id", "assigned_to")
"""Fields that Close may set to another value than it was sent; where it does, the report says so."""

Search = Callable[[Entry], dict[str, Any] | None]
"""Searches Close for the object of an entry."""


@dataclass
class Restored:
    """What a restore has done so far."""

    created: Counter[str] = field(default_factory=Counter[str])
    """Objects that this run has created, by kind."""
    adopted: int = 0
    """Objects found in Close after an attempt that didn't learn whether it had created them."""
    rejected: Counter[str] = field(default_factory=Counter[str])
    """Objects that Close rejected, by kind."""
    changed_by_close: Counter[tuple[str, Kind]] = field(default_factory=Counter[tuple[str, Kind]])
    """On how many objects of a kind Close set a field to another value than it was sent, by field and kind."""
    still_in_close: int = 0
    """Leads that Close has under their old ids, although its event log says that they were deleted."""
    restored_meanwhile: int = 0
    """Leads that a restore of another backup has created since the plan."""
    deleted_since: int = 0
    """Leads that an earlier attempt had created in part, and that were deleted since."""
    problem: tuple[Outcome, str] | None = None
    """What stopped the restore before its end: the outcome, and a sentence."""


@once
def restore(plan: RestorePlan) -> Restored:
    """Create what *plan* shows. Safe to repeat: it continues where the last run stopped, and creates nothing twice.

    Holds the backup's lock, and reads the backup again under it: what was erased from it since the plan isn't created.
    """
    archive = Archive.at(plan.url)
    journal = Journal(archive)
    own = OwnState()
    in_close = plan.found.still_in_close | plan.found.restored_from_other_backup
    with (
        connect(plan.organization_id, user_id=plan.user_id) as close,
        locked(archive, "a restore", patience=TAKES_OVER_WITHIN if own.attempt > 1 else 0.0) as check,
        journal.opened(check),
    ):
        others = journals_of_other_backups(archive)
        theirs = frozenset(lead_id for other in others for lead_id in other.new.values())
        creator = Creator(close, journal, plan.user_id, own, theirs)
        mapping = IdMapping(plan.mapping.inventory, plan.mapping.instead)
        total, number = plan.found.counts["lead"] + plan.found.begun, 0
        progress = Progress("restored", close.clock)
        try:
            for lead in leads_to_restore(archive, frozenset(plan.leads)):
                if lead["id"] in in_close or journal.is_done(lead["id"]):
                    continue
                if lead["id"] in plan.found.deleted and close.lead(lead["id"]) is not None:
                    creator.restored.still_in_close += 1
                    continue
                if restored_from(others, close, lead["id"]):
                    creator.restored.restored_meanwhile += 1
                    continue
                creator.restore(new_lead(lead, mapping))
                number += 1
                progress.show(number, total)
        except (Stop, CloseError) as error:
            creator.restored.problem = outcome_of(error), str(error)
        return creator.restored


@dataclass
class Creator:
    """Creates leads and what belongs to them, one object at a time.

    Raises `Stop` when the journal can't be written, when Close can no longer tell what an attempt created, or when a
    person suspends the run; and the CloseErrors that concern more than one object, such as a missing permission.
    """

    close: CloseClient
    journal: Journal
    user_id: str
    own: OwnState = field(default_factory=OwnState)
    theirs: frozenset[str] = frozenset()
    """Leads that restores of other backups have created."""
    restored: Restored = field(default_factory=Restored)

    def restore(self, lead: NewLead) -> None:
        """Create *lead* and what belongs to it, except the objects that Close already has."""
        last = self.journal.last(lead.old_id, "lead", lead.old_id)
        entry = self._create_lead(lead)
        if entry is None or entry.new is None:
            return
        if entry is last and self.close.lead(entry.new) is None:
            self.restored.deleted_since += 1
            return
        if len(entry.contacts) < len(lead.contacts):
            self.restored.changed_by_close["contacts", "lead"] += 1
        entries = [self._create_object(each, lead.old_id, entry.new, entry.contacts) for each in lead.objects]
        if None not in entries:
            self.journal.write(Entry(lead=lead.old_id, kind="lead", old=lead.old_id, step="done"))

    def _create_lead(self, lead: NewLead) -> Entry | None:
        intent = self._intent(lead.old_id, "lead", lead.old_id).model_copy(update={"since": self._earliest})
        return self._once(
            intent,
            dict(lead.body),
            lambda intent: self._find_lead(intent, lead.body),
            lambda found: pair_contacts(lead.contacts, found.get("contacts") or []),
        )

    def _create_object(self, new: NewObject, old_lead: str, lead_id: str, contacts: Mapping[str, str]) -> Entry | None:
        return self._once(
            self._intent(old_lead, new.kind, new.old_id),
            new.to_send(lead_id, contacts),
            lambda intent: self._find_object(intent, new.body, lead_id),
        )

    def _intent(self, old_lead: str, kind: Kind, old_id: str) -> Entry:
        return Entry(lead=old_lead, kind=kind, old=old_id, step="intended", by=self.user_id)

    def _once(
        self,
        intent: Entry,
        body: dict[str, Any],
        search: Search,
        contacts: Callable[[dict[str, Any]], dict[str, str]] = lambda _: {},
    ) -> Entry | None:
        """Return the entry of the object, which is created unless it exists; None if Close rejects it."""
        last = self.journal.last(intent.lead, intent.kind, intent.old)
        if last is not None and last.step == "created":
            return last
        found = self._search_until_settled(last, search) if last is not None and last.step == "intended" else None
        if found is None:
            found = self._create(intent, body, search)
        if found is None:
            return None
        entry = intent.model_copy(
            update={"at": self.close.now(), "step": "created", "new": str(found["id"]), "contacts": contacts(found)}
        )
        self.journal.write(entry)
        return entry

    def _create(self, intent: Entry, body: dict[str, Any], search: Search) -> dict[str, Any] | None:
        """POST the object and return it as Close shows it; None if Close rejects it, or doesn't create it."""
        self.own.look()
        kind = intent.kind
        check_sends_nothing(kind, body)
        problem: CloseError | None = None
        for _ in range(ATTEMPTS):
            intent = intent.model_copy(update={"at": self.close.now()})
            self.journal.write(intent)
            try:
                created = self.close.create(kind, body)
            except CloseError as error:
                if error.nothing_started:
                    self._reject(intent, error)
                    if isinstance(error, BadRequest | NotFound):
                        return None
                    raise
                logger.info("It is not known whether Close created the %s: searching for it there.", kind)
                if found := self._search_until_settled(intent.model_copy(update={"at": self.close.now()}), search):
                    return found
                problem = error
            else:
                self.restored.created += {kind: 1, "contact": len(body.get("contacts", ()))}
                self._compare(kind, body, created)
                return created
        assert problem is not None
        self._reject(intent, problem)
        return None

    def _reject(self, intent: Entry, error: CloseError) -> None:
        """Record that the object doesn't exist, and why. The next run tries it again."""
        self.restored.rejected[intent.kind] += 1
        self.journal.write(intent.model_copy(update={"at": self.close.now(), "step": "rejected", "why": _why(error)}))

    def _search_until_settled(self, intent: Entry, search: Search) -> dict[str, Any] | None:
        """Search Close until the object is found, or until it is certain that it doesn't exist: then return None."""
        age = max(self.close.now() - intent.at, timedelta())
        settled = self.close.clock() + (SETTLED_AFTER - age).total_seconds()
        waits = [*SEARCH_AGAIN_AFTER]
        while True:
            self.journal.check()
            if found := search(intent):
                self.restored.adopted += 1
                return found
            left = settled - self.close.clock()
            if left <= 0:
                return None
            self.own.sleep(self.close.sleep, min(left, waits.pop(0) if len(waits) > 1 else waits[0]))

    def _find_lead(self, intent: Entry, body: Object) -> dict[str, Any] | None:
        """Find a lead with the same words that this user created since and that no journal has.

        Raises `Stop` (``unknown``) where Close no longer has the events.
        """
        if self.close.now() - intent.at > EVENTS_KEPT:
            raise Stop(
                Outcome.UNKNOWN,
                f"A restore was interrupted on {intent.at:%Y-%m-%d} while creating lead {intent.lead}, and Close keeps "
                "its events for 30 days only: search Close for that lead, and restore the others with --lead.",
            )
        known = self.theirs.union(self.journal.new.values())
        since = intent.since or intent.at - EVENTS_KEPT
        for event in self.close.lead_events("created", since, user_id=intent.by or self.user_id):
            lead_id = event.object_id or ""
            if lead_id not in known and (found := self.close.lead(lead_id)) and same_words("lead", body, found):
                return found
        return None

    def _find_object(self, intent: Entry, body: Object, lead_id: str) -> dict[str, Any] | None:
        """Find an object of the new lead that is of the same kind, has the same words, and that no entry has."""
        known = self.journal.created_for(intent.lead)
        of_lead = self.close.belonging_to(lead_id, intent.kind)
        return next((each for each in of_lead if each["id"] not in known and same_words(intent.kind, body, each)), None)

    @cached_property
    def _earliest(self) -> datetime:
        """An instant by Close's own clock, before anything that this process creates."""
        try:
            newest = self.close.newest_event() or self.close.now() - EVENTS_KEPT
        except NotAllowed:  # only a key that may read the event log finds what an attempt without an answer created
            newest = self.close.now()
        return newest - EVENTS_LATE_BY

    def _compare(self, kind: Kind, sent: dict[str, Any], created: dict[str, Any]) -> None:
        for name in COMPARED:
            if name in sent and not _same(sent[name], created.get(name)):
                self.restored.changed_by_close[name, kind] += 1


def _why(error: CloseError) -> str:
    fields = ", ".join(error.field_errors) if isinstance(error, BadRequest) else ""
    return f"{type(error).__name__} ({error.status}){': ' if fields else ''}{fields}"


def _same(sent: Any, found: Any) -> bool:
    return sent == found or {*_moment(sent)} == {*_moment(found)} != set()


def _moment(value: Any) -> Iterator[datetime]:
    """Yield the instant, if *value* is one, to the millisecond: Close stores no more digits."""
    try:
        found = datetime.fromisoformat(value)
    except (TypeError, ValueError):
        return
    found = found if found.tzinfo else found.replace(tzinfo=UTC)
    yield found.astimezone(UTC).replace(microsecond=found.microsecond // 1000 * 1000)
