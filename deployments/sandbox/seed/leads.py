"""Made-up leads that look like real ones: several imports over five years, and what became of them.

The same number of leads and seed give the same leads, with dates relative to *now*.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from datetime import datetime
from random import Random

from sqlalchemy import Connection, Table

from deployments.sandbox.database import schema
from deployments.sandbox.database.full_text import spaced
from deployments.sandbox.organization import (
    ADMIN,
    INDUSTRIES,
    INDUSTRY_ID,
    MANAGER_ID,
    MANAGERS,
    OPPORTUNITY_STATUSES,
    SCORE_ID,
    SEQUENCE_ID,
    SOURCE_ID,
    SOURCES,
    STATUS_IDS,
)
from deployments.sandbox.seed import vocabulary
from deployments.sandbox.wire.ids import seeded_ids
from deployments.sandbox.wire.moments import microseconds, to_milliseconds

DAY = 86_400_000_000  # in microseconds, like all times below
BATCH = 5_000  # leads per write
Cell = str | int | None

# The imports: how many days ago each started, how many days it took, and its share of all leads.
IMPORTS = (
    (1820, 3, 18),
    (1500, 2, 8),
    (1290, 2, 20),
    (1200, 1190, 14),
    (900, 880, 5),
    (640, 30, 9),
    (420, 2, 16),
    (200, 199, 10),
)
# The percentage of leads in each status.
STATUS_SHARES = {
    "Potential": 46,
    "Interested": 7,
    "Qualified": 7,
    "Customer": 6,
    "Not Interested": 14,
    "Bad Fit": 9,
    "Junk": 11,
}
QUIET = ("Junk", "Bad Fit", "Not Interested")
PEOPLE = (ADMIN.id, *(manager.id for manager in MANAGERS))
LOST, WON = (
    next(id_ for id_, (_, kind) in OPPORTUNITY_STATUSES.items() if kind == wanted) for wanted in ("lost", "won")
)
ACTIVE = tuple(id_ for id_, (_, kind) in OPPORTUNITY_STATUSES.items() if kind == "active")


def seed_leads(connection: Connection, leads: int, seed: int, now: datetime) -> None:
    """Insert *leads* made-up leads and everything that belongs to them."""
    generator = _LeadGenerator(Random(seed), microseconds(to_milliseconds(now)))  # noqa: S311 - made-up data, not secrets
    special = [*vocabulary.LOOKALIKES, *vocabulary.TESTS]
    for number in range(leads):
        generator.lead(special[number] if number < len(special) else None)
        if number % BATCH == BATCH - 1:
            generator.write(connection)
    generator.write(connection)


class _LeadGenerator:
    """Generates leads one after the other and inserts their rows in batches."""

    def __init__(self, random: Random, now: int) -> None:
        self.random = random
        self.now = now
        self.rows: dict[Table, list[tuple[Cell, ...]]] = {}
        self.pks = {"lead": 0, "contact": 0}
        prefixes = ("lead", "cont", "oppo", "task", "acti", "sub")
        self.ids: dict[str, Iterator[str]] = {prefix: seeded_ids(prefix, random) for prefix in prefixes}
        self.names: list[str] = ["Acorn Analytics Inc."]

    def add(self, table: Table, *row: Cell) -> None:
        self.rows.setdefault(table, []).append(row)

    def write(self, connection: Connection) -> None:
        for table, rows in self.rows.items():
            if rows:
                columns = COLUMNS[table.name]
                marks = ", ".join("?" * len(columns))
                sql = f"INSERT INTO {table.name} ({', '.join(columns)}) VALUES ({marks})"  # noqa: S608 - our own names
                connection.exec_driver_sql(sql, rows)
        self.rows.clear()

    def lead(self, name: str | None) -> None:
        """Add one lead with everything that belongs to it."""
        random = self.random
        pk = self.pks["lead"] = self.pks["lead"] + 1
        source = random.choices(range(len(IMPORTS)), cum_weights=_CUMULATIVE)[0]
        began, length, _ = IMPORTS[source]
        created = self.now - (began * DAY) + int(random.random() * length * DAY) // 1000 * 1000
        status = random.choices(_STATUSES, cum_weights=_STATUS_CUMULATIVE)[0]
        if name is not None:  # tests rely on these: old, without communication, no customers
            created, status = self.now - 1000 * DAY - pk * 1000, "Junk" if name in vocabulary.TESTS else "Potential"
        manager = random.choice(PEOPLE)
        contacts = self._contacts(pk, created)
        contact_id = contacts[0] if contacts else None
        spoken = None if name is not None else self._activities(pk, created, status, contact_id, manager)
        if name is None:
            self._business(pk, created, status, contact_id, manager)
        first, last, kind = spoken or (None, None, None)
        custom: dict[str, str | int] = {SOURCE_ID: SOURCES[source]}
        if random.random() < 0.7:
            custom[INDUSTRY_ID] = random.choice(INDUSTRIES)
        if random.random() < 0.6:
            custom[MANAGER_ID] = manager
        if random.random() < 0.3:
            custom[SCORE_ID] = random.randrange(101)
        name = name or self._name()
        updated = max(created, last or 0) + (3_600_000_000 if last and last < self.now - DAY else 0)
        zone = self._address(pk) if random.random() < 0.5 else None
        self.add(
            schema.leads,
            *(pk, next(self.ids["lead"]), name, spaced(name), "", _url(name), STATUS_IDS[status], json.dumps(custom)),
            *(zone, first, last, kind, manager if last else None, last, None, 0, ADMIN.id, manager, created, updated),
        )

    def _name(self) -> str:
        random = self.random
        if random.random() < 0.02:  # duplicates
            return random.choice(self.names)
        parts = (vocabulary.FIRST, vocabulary.SECOND, vocabulary.SUFFIX)
        name = " ".join(random.choice(part) for part in parts).strip()
        if len(self.names) < 500:
            self.names.append(name)
        return name

    def _address(self, pk: int) -> str:
        city, state, country, zone = self.random.choice(vocabulary.CITIES)
        self.add(schema.addresses, pk, "business", city, state, country)
        return zone

    def _contacts(self, lead_pk: int, created: int) -> list[str]:
        """No contact for one lead in eight, else one to three; not all have an address or a number."""
        random = self.random
        contacts: list[str] = []
        for _ in range(random.choices((0, 1, 2, 3), cum_weights=(12, 80, 96, 100))[0]):
            pk = self.pks["contact"] = self.pks["contact"] + 1
            id_ = next(self.ids["cont"])
            given, family = random.choice(vocabulary.GIVEN), random.choice(vocabulary.FAMILY)
            title = random.choice(vocabulary.TITLES)
            self.add(
                schema.contacts, pk, id_, lead_pk, f"{given} {family}", title, ADMIN.id, ADMIN.id, created, created
            )
            if random.random() < 0.75:
                address = f"{given}.{family}@{random.choice(vocabulary.FIRST)}{pk % 977}.example".lower()
                self.add(schema.contact_emails, pk, address, "office")
            if random.random() < 0.6:
                self.add(schema.contact_phones, pk, f"+1415555{random.randrange(10_000):04}", "office")
            if random.random() < 0.05:
                self.add(schema.contact_urls, pk, f"https://people.example/{family.lower()}", "url")
            contacts.append(id_)
        return contacts

    def _activities(
        self, pk: int, created: int, status: str, contact: str | None, user: str
    ) -> tuple[int, int, str] | None:
        """Add activities. Returns the first and last date and the last kind; about a quarter of the leads have none."""
        random = self.random
        if random.random() < (0.5 if status == "Junk" else 0.22):
            return None
        span = self.now - created
        share = random.random() ** 2 if status in QUIET or random.random() < 0.6 else 1 - random.random() ** 3
        times = sorted(
            created + int(span * share * random.random()) // 1000 * 1000 for _ in range(random.randrange(1, 4))
        )
        last_kind = ""
        for at in times:
            last_kind = random.choices(("email", "call", "sms", "meeting"), cum_weights=(60, 90, 96, 100))[0]
            way = "outgoing" if random.random() < 0.7 else "incoming"
            result = {"email": "sent" if way == "outgoing" else "inbox", "sms": "sent"}.get(last_kind, "completed")
            over = (at, at + 1_800_000_000) if last_kind == "meeting" else (None, None)
            self._activity(pk, last_kind, contact, user, at, way, result, over)
        if random.random() < 0.2:
            note = int(self.random.random() * span) // 1000 * 1000
            self._activity(pk, "note", None, user, created + note, None, None, (None, None))
        return times[0], times[-1], {"email": "Email", "call": "Call", "sms": "SMS"}.get(last_kind, "Meeting")

    def _activity(
        self,
        pk: int,
        kind: str,
        contact: str | None,
        user: str,
        at: int,
        way: str | None,
        status: str | None,
        over: tuple[int | None, int | None],
    ) -> None:
        extra = _EXTRA.get(kind)
        id_ = next(self.ids["acti"])
        self.add(schema.activities, id_, pk, kind, contact, user, at, way, status, *over, user, user, at, at, extra)

    def _business(self, pk: int, created: int, status: str, contact: str | None, user: str) -> None:
        """Add opportunities, tasks, meetings and subscriptions: more of them for interested leads."""
        random = self.random
        warm = status in ("Interested", "Qualified")
        if status == "Customer" or random.random() < (0.45 if warm else 0.05):
            self._opportunity(pk, created, "won" if status == "Customer" else None, contact, user)
        if random.random() < (0.4 if warm else 0.1):
            due = self.now + random.randrange(-400, 30) * DAY
            done = int(random.random() < 0.5)
            row = (next(self.ids["task"]), pk, "lead", user, "Call back", due, done, user, user, created, created)
            self.add(schema.tasks, *row)
        if random.random() < (0.08 if warm else 0.005):
            starts = self.now + int(random.random() * 30 * DAY) // 1000 * 1000 + DAY
            row = (next(self.ids["acti"]), pk, "meeting", contact, user, starts, "outgoing", "upcoming", starts)
            self.add(schema.activities, *row, starts + 1_800_000_000, user, user, created, created, _EXTRA["meeting"])
        if contact and random.random() < 0.04:
            state = random.choice(("active", "active", "finished", "paused"))
            row = (next(self.ids["sub"]), pk, contact, SEQUENCE_ID, state, user, user, created, created)
            self.add(schema.subscriptions, *row)

    def _opportunity(self, pk: int, created: int, kind: str | None, contact: str | None, user: str) -> None:
        random = self.random
        kind = kind or random.choices(("active", "won", "lost"), cum_weights=(40, 50, 100))[0]
        status = {"won": WON, "lost": LOST}.get(kind) or random.choice(ACTIVE)
        closed = created + int(random.random() * (self.now - created)) // 1000 * 1000
        period = random.choice(("one_time", "monthly", "annual"))
        confidence = {"won": 100, "lost": 0}.get(kind, 50)
        self.add(
            schema.opportunities,
            *(next(self.ids["oppo"]), pk, contact, user, status, kind, random.randrange(1, 500) * 10_000, period),
            *(confidence, closed if kind == "won" else None, closed if kind == "lost" else None, None),
            *(user, user, created, closed),
        )


def _url(name: str) -> str | None:
    head = name.split(" ", 1)[0]
    return f"https://{head.lower()}.example" if head.isalpha() else None


def _cumulative(shares: list[int]) -> list[int]:
    return [sum(shares[: position + 1]) for position in range(len(shares))]


_CUMULATIVE = _cumulative([share for _, _, share in IMPORTS])
_STATUSES = tuple(STATUS_SHARES)
_STATUS_CUMULATIVE = _cumulative(list(STATUS_SHARES.values()))
_EXTRA = {
    "email": '{"subject": "Hello", "body_text": "Shall we talk?"}',
    "call": '{"note": "Spoke about prices.", "duration": 180, "source": "External"}',
    "sms": '{"text": "On my way."}',
    "meeting": '{"title": "Demo"}',
    "note": '{"note": "Asked for a price list."}',
}

_BY = ("created_by", "updated_by", "date_created", "date_updated")
COLUMNS: dict[str, tuple[str, ...]] = {
    "leads": (
        *("pk", "id", "name", "words", "description", "url", "status_id", "custom", "timezone_id"),
        *("first_communication_date", "last_communication_date", "last_communication_type"),
        *("last_communication_user_id", "last_activity_date", "last_lead_status_change_date", "findable_at", *_BY),
    ),
    "addresses": ("lead_pk", "label", "city", "state", "country"),
    "contacts": ("pk", "id", "lead_pk", "name", "title", *_BY),
    "contact_emails": ("contact_pk", "email", "type"),
    "contact_phones": ("contact_pk", "phone", "type"),
    "contact_urls": ("contact_pk", "url", "type"),
    "activities": (
        *("id", "lead_pk", "type", "contact_id", "user_id", "activity_at", "direction", "status", "starts_at"),
        *("ends_at", *_BY, "extra"),
    ),
    "opportunities": (
        *("id", "lead_pk", "contact_id", "user_id", "status_id", "status_type", "value", "value_period"),
        *("confidence", "date_won", "date_lost", "note", *_BY),
    ),
    "tasks": ("id", "lead_pk", "type", "assigned_to", "text", "date", "is_complete", *_BY),
    "subscriptions": ("id", "lead_pk", "contact_id", "sequence_id", "status", *_BY),
}
