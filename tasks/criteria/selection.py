"""Criteria as queries: what matches, what is kept, what is planned. Pure."""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from zoneinfo import ZoneInfo

from tasks.close.query.nodes import And, ObjectType, Query, any_of, before
from tasks.close.query.rewrite import asserted, denied
from tasks.criteria.names import Names
from tasks.criteria.policy import Keep, Match
from tasks.criteria.rules import CREATED, UPDATED, keep_rules, match_clauses

LEADS = ObjectType(object_type="lead")


@dataclass(frozen=True)
class Selection:
    """Criteria as queries: what must hold, what protects, and the instant (UTC) from which both are reckoned."""

    match: tuple[Query, ...]
    keep: Mapping[str, Query]
    as_of: datetime

    def matched(self) -> Query:
        """Leads that meet the criteria, protected or not."""
        return self._query()

    def kept(self, rule: str | None = None) -> Query:
        """Matched leads that *rule* protects; without a rule, those that any of them protects."""
        rules = [self.keep[rule]] if rule else list(self.keep.values())
        return self._query(any_of([asserted(each) for each in rules]))

    def planned(self, *, created_before: datetime | None = None) -> Query:
        """Matched leads that nothing protects: what is sent to Close. *created_before* (UTC) leaves a batch of it."""
        batch = [before(CREATED, created_before)] if created_before else []
        return self._query(*(denied(each) for each in self.keep.values()), *batch)

    def _query(self, *more: Query) -> Query:
        """The last two clauses spare what came or changed after the cut-off, and carry the run's mark."""
        return And(queries=(LEADS, *self.match, *more, before(CREATED, self.as_of), before(UPDATED, self.as_of)))


def select(match: Match, keep: Keep, names: Names, as_of: datetime, time_zone: str = "UTC") -> Selection:
    """The criteria of *match* and *keep* as queries, reckoned from *as_of* (UTC); days begin in *time_zone*.

    Raises `Refused` for names that Close doesn't know and for queries that can't be used.
    """
    zone = ZoneInfo(time_zone)
    return Selection(
        match=tuple(match_clauses(match, names, as_of, zone)), keep=keep_rules(keep, names, as_of, zone), as_of=as_of
    )
