"""Making what a backup has, each object at most once: whatever is lost, killed or cut off on the way.

Before each POST the journal says what is about to be made, and after it what came of that. Where it doesn't say what
came of it, nobody knows: then Close is looked at until it shows the object, or long enough that it isn't there.
"""

import logging
from collections import Counter
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from functools import cached_property
from typing import Any

from prefect import task
from prefect.cache_policies import NO_CACHE

from tasks.backup.archive import Archive
from tasks.close.client import CloseClient
from tasks.close.errors import BadRequest, CloseError, NotFound
from tasks.close.resources import Kind
from tasks.restore.id_mapping import Fitting
from tasks.restore.journal import Entry, Journal
from tasks.restore.new_objects import Piece, Remade, alike, check_sends_nothing, pair_contacts, remake
from tasks.restore.plan import RestorePlan, chosen
from tasks.runs.connect import connect
from tasks.runs.outcomes import Outcome, Stop, outcome_of

logger = logging.getLogger(__name__)

SETTLED_AFTER = timedelta(minutes=5)
"""What Close doesn't show so long after it was asked for isn't there: Close advises to read the events of the last five
minutes again."""
LOOK_AGAIN = (1.0, 4.0, 15.0, 40.0)  # seconds between looks; the last one over and over
EVENTS_KEPT = timedelta(days=29)  # Close keeps them for 30
CLOCKS_DIFFER = timedelta(minutes=5)  # between Close's own machines, and its events' order
TRIES = 2  # of a POST to which Close gives no usable answer, and which then turns out to have had no effect
TELL_EVERY = 50  # leads
AS_SENT = ("date_created", "activity_at", "status", "status_id", "user_id", "assigned_to")
"""What Close may set otherwise than it was asked to; where it does, the report says so."""


@dataclass
class Restored:
    """What a restore has done so far."""

    created: Counter[str] = field(default_factory=Counter[str])
    """Objects by kind, of this run."""
    adopted: int = 0
    """Objects that an earlier attempt had made without knowing it."""
    rejected: Counter[str] = field(default_factory=Counter[str])
    unlike: Counter[str] = field(default_factory=Counter[str])
    """Fields that Close keeps otherwise than they were sent, such as ``date_created of task``."""
    gone: int = 0
    """Leads that an earlier attempt had made, and that were deleted since."""
    problem: tuple[Outcome, str] | None = None
    """What has stopped it on the way, with what that makes of the run."""


@task(retries=0, cache_policy=NO_CACHE, persist_result=False)
def restore(plan: RestorePlan) -> Restored:
    """Make what *plan* shows. Run again, it goes on where it was: nothing is made twice."""
    archive = Archive.at(plan.url)
    journal = Journal(archive)
    with connect(plan.organization_id, user_id=plan.user_id) as close, journal.opened():
        maker = Maker(close, journal, plan.user_id)
        fitting = Fitting(plan.inventory, plan.instead)
        total, number = plan.counts.get("lead", 0), 0
        try:
            for lead in chosen(archive, frozenset(plan.leads)):
                if lead["id"] in plan.there | plan.elsewhere or journal.is_done(lead["id"]):
                    continue
                maker.lead(remake(lead, fitting))
                number += 1
                if number % TELL_EVERY == 0 or number == total:
                    logger.info("%s of %s leads are gone through.", f"{number:,}", f"{total:,}")
        except (Stop, CloseError) as error:
            maker.done.problem = outcome_of(error), str(error)
        return maker.done


@dataclass
class Maker:
    """Makes leads with everything, one object at a time."""

    close: CloseClient
    journal: Journal
    user_id: str
    done: Restored = field(default_factory=Restored)

    def lead(self, wanted: Remade) -> None:
        """Make one lead and everything that belongs to it, but for what is there already."""
        before = self.journal.last(wanted.old_id, "lead", wanted.old_id)
        made = self._lead_itself(wanted)
        if made is None or made.new is None:
            return
        if made is before and self.close.lead(made.new) is None:
            self.done.gone += 1
            return
        if len(made.contacts) < len(wanted.contacts):
            self.done.unlike["contacts of lead"] += 1
        pieces = [self._piece(wanted.old_id, piece, made.new, made.contacts) for piece in wanted.pieces]
        if None not in pieces:
            self.journal.write(Entry(lead=wanted.old_id, kind="lead", old=wanted.old_id, step="done"))

    def _piece(self, old_id: str, piece: Piece, lead_id: str, contacts: Mapping[str, str]) -> Entry | None:
        return self._once(
            Entry(lead=old_id, kind=piece.kind, old=piece.old_id, step="intended", by=self.user_id),
            piece.of(lead_id, contacts),
            lambda intent: self._piece_in_close(intent, piece, lead_id),
        )

    def _lead_itself(self, wanted: Remade) -> Entry | None:
        intent = Entry(
            lead=wanted.old_id,
            kind="lead",
            old=wanted.old_id,
            step="intended",
            by=self.user_id,
            since=self._before_any,
        )
        return self._once(
            intent,
            dict(wanted.body),
            lambda intent: self._lead_in_close(intent, wanted),
            lambda made: pair_contacts(wanted.contacts, made.get("contacts") or []),
        )

    def _once(
        self,
        intent: Entry,
        body: dict[str, Any],
        look: Callable[[Entry], dict[str, Any] | None],
        contacts: Callable[[dict[str, Any]], dict[str, str]] = lambda _: {},
    ) -> Entry | None:
        """The journal's entry of the object, which is made if it isn't there; None if Close rejects it."""
        last = self.journal.last(intent.lead, intent.kind, intent.old)
        if last is not None and last.step == "created":
            return last
        found = self._settled(last, look) if last is not None and last.step == "intended" else None
        if found is None:
            found = self._made(intent, body, look)
        if found is None:
            return None
        entry = intent.model_copy(
            update={"at": self.close.now(), "step": "created", "new": str(found["id"]), "contacts": contacts(found)}
        )
        self.journal.write(entry)
        return entry

    def _made(
        self, intent: Entry, body: dict[str, Any], look: Callable[[Entry], dict[str, Any] | None]
    ) -> dict[str, Any] | None:
        """POST it, and find out whether it is there. None if Close rejects it."""
        kind = intent.kind
        check_sends_nothing(kind, body)
        problem: CloseError | None = None
        for _ in range(TRIES):
            intent = intent.model_copy(update={"at": self.close.now()})
            self.journal.write(intent)
            try:
                made = self.close.create(kind, body)
            except CloseError as error:
                if error.nothing_started:
                    self._reject(intent, error)
                    if isinstance(error, BadRequest | NotFound):
                        return None
                    raise
                logger.info("It isn't known whether Close has made a %s: looking there.", kind)
                if found := self._settled(intent.model_copy(update={"at": self.close.now()}), look):
                    return found
                problem = error
            else:
                self.done.created += {kind: 1, "contact": len(body.get("contacts", ()))}
                self._compare(kind, body, made)
                return made
        assert problem is not None
        self._reject(intent, problem)
        return None

    def _reject(self, intent: Entry, error: CloseError) -> None:
        """Note that it isn't there, and why; the next run tries again."""
        self.done.rejected[intent.kind] += 1
        self.journal.write(intent.model_copy(update={"at": self.close.now(), "step": "rejected", "why": _why(error)}))

    def _settled(self, intent: Entry, look: Callable[[Entry], dict[str, Any] | None]) -> dict[str, Any] | None:
        """What Close shows of an object that was to be made, looked for until what it doesn't show isn't there."""
        age = max(self.close.now() - intent.at, timedelta())
        settled = self.close.clock() + (SETTLED_AFTER - age).total_seconds()
        waits = [*LOOK_AGAIN]
        while True:
            if found := look(intent):
                self.done.adopted += 1
                return found
            left = settled - self.close.clock()
            if left <= 0:
                return None
            self.close.sleep(min(left, waits.pop(0) if len(waits) > 1 else waits[0]))

    def _lead_in_close(self, intent: Entry, wanted: Remade) -> dict[str, Any] | None:
        """A lead that was created since, by the same user, isn't in the journal, and has the same words."""
        if self.close.now() - intent.at > EVENTS_KEPT:
            raise Stop(
                Outcome.UNKNOWN,
                f"A restore was cut off on {intent.at:%Y-%m-%d} as it made lead {intent.lead} anew, and Close doesn't "
                "keep that long what was created: look for it there, and restore the others with --lead.",
            )
        made = set(self.journal.new.values())
        since = intent.since or intent.at - EVENTS_KEPT
        for event in self.close.lead_events("created", since, user_id=intent.by or self.user_id):
            lead_id = event.object_id or ""
            if lead_id not in made and (found := self.close.lead(lead_id)) and alike("lead", wanted.body, found):
                return found
        return None

    def _piece_in_close(self, intent: Entry, piece: Piece, lead_id: str) -> dict[str, Any] | None:
        """Something of the same kind that belongs to the new lead, isn't in the journal, and has the same words."""
        made = self.journal.made_of(intent.lead)
        return next(
            (
                each
                for each in self.close.belonging_to(lead_id, piece.kind)
                if each["id"] not in made and alike(piece.kind, piece.body, each)
            ),
            None,
        )

    @cached_property
    def _before_any(self) -> datetime:
        """An instant by Close's own clock that lies before whatever this process makes."""
        return (self.close.newest_event() or self.close.now() - EVENTS_KEPT) - CLOCKS_DIFFER

    def _compare(self, kind: Kind, sent: dict[str, Any], made: dict[str, Any]) -> None:
        for name in AS_SENT:
            if name in sent and not _same(sent[name], made.get(name)):
                self.done.unlike[f"{name} of {kind}"] += 1


def _why(error: CloseError) -> str:
    fields = ", ".join(error.field_errors) if isinstance(error, BadRequest) else ""
    return f"{type(error).__name__} ({error.status}){': ' if fields else ''}{fields}"


def _same(sent: Any, made: Any) -> bool:
    return sent == made or {*_moment(sent)} == {*_moment(made)} != set()


def _moment(value: Any) -> Iterator[datetime]:
    """An instant, if *value* is one, to the millisecond: Close keeps no more."""
    try:
        found = datetime.fromisoformat(value)
    except (TypeError, ValueError):
        return
    found = found if found.tzinfo else found.replace(tzinfo=UTC)
    yield found.astimezone(UTC).replace(microsecond=found.microsecond // 1000 * 1000)
