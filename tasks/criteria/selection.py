"""Criteria, and their queries: what matches, what is kept, what is planned. Pure."""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from datetime import datetime
from zoneinfo import ZoneInfo

from tasks.close.query.nodes import And, ObjectType, Query, any_of, before
from tasks.close.query.rewrite import asserted, denied
from tasks.criteria.names import Names
from tasks.criteria.policy import Keep, Match
from tasks.criteria.rules import CREATED, UPDATED, keep_rules, match_clauses
from tasks.criteria.wording import in_words

LEADS = ObjectType(object_type="lead")


@dataclass(frozen=True)
class Criteria:
    """Which leads a run deletes: what they must meet, what protects them, and the cut-off (UTC) of relative times."""

    match: Match
    keep: Keep
    as_of: datetime
    time_zone: str = "UTC"
    """The time zone of local dates in pasted queries and Smart Views."""
    updated_before: datetime | None = None
    """Leads edited then or later (UTC) are spared. None: the cut-off, from which it differs to carry a second mark."""

    def select(self, names: Names, organization_id: str = "") -> "Selection":
        """The criteria as queries, for one organisation. Raises `Refused` for unknown names and unusable queries."""
        zone = ZoneInfo(self.time_zone)
        return Selection(
            organization_id=organization_id,
            match=tuple(match_clauses(self.match, names, self.as_of, zone)),
            keep=keep_rules(self.keep, names, self.as_of, zone),
            as_of=self.as_of,
            updated_before=self.updated_before,
        )

    def __str__(self) -> str:
        kept = "; ".join(in_words(self.keep).values())
        return f"{'; '.join(in_words(self.match).values())}. Protected: {kept or 'nothing'}."


@dataclass(frozen=True, kw_only=True)
class Selection:
    """Criteria as queries, with names as ids."""

    organization_id: str = ""
    """The organisation that the ids belong to; empty where nothing is sent to Close."""
    match: tuple[Query, ...] = ()
    keep: Mapping[str, Query]
    """What protects a lead, by the name of the rule."""
    as_of: datetime
    updated_before: datetime | None = None
    """See `Criteria`."""
    created_before: datetime | None = None
    """Where a batch ends (UTC): leads created then or later wait for the next run."""

    def matched(self) -> Query:
        """Leads that meet the criteria, protected or not."""
        return self._query()

    def kept(self, rule: str | None = None) -> Query:
        """Matched leads that *rule* protects; without *rule*, those that any rule protects."""
        rules = [self.keep[rule]] if rule else list(self.keep.values())
        return self._query(any_of([asserted(each) for each in rules]))

    def planned(self) -> Query:
        """Matched leads that no rule protects, up to the end of the batch: the query of the bulk delete."""
        batch = [before(CREATED, self.created_before)] if self.created_before else []
        return self._query(*(denied(each) for each in self.keep.values()), *batch)

    def cut(self, created_before: datetime) -> "Selection":
        """The same selection, with only the leads created before that instant (UTC) planned."""
        return replace(self, created_before=created_before)

    def _query(self, *more: Query) -> Query:
        """The last two clauses spare leads created or edited after the cut-off, and carry the run's marks."""
        created, updated = before(CREATED, self.as_of), before(UPDATED, self.updated_before or self.as_of)
        return And(queries=(LEADS, *self.match, *more, created, updated))
