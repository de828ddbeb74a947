"""The state of a running sandbox: its organisations and switches."""

from __future__ import annotations

from dataclasses import dataclass, replace
from datetime import UTC, datetime
from pathlib import Path

from deployments.sandbox.database.store import Store
from deployments.sandbox.organization import ADMIN, OTHER, OTHER_ADMIN, SANDBOX, USER, Organization, User
from deployments.sandbox.seed.customizations import add_customizations
from deployments.sandbox.seed.leads import seed_leads
from deployments.sandbox.switches.behaviour import Behaviour
from deployments.sandbox.switches.faults import Faults
from deployments.sandbox.switches.jobs import JobSettings
from deployments.sandbox.switches.rate_limits import RateLimits, RateLimitSettings


@dataclass(frozen=True)
class Tenant:
    """An organisation and its database."""

    organization: Organization
    store: Store


@dataclass(frozen=True)
class Member:
    """The owner of a key."""

    key: str
    user: User
    tenant: Tenant


class State:
    """The organisations, their keys, and the switches of the control plane."""

    def __init__(
        self,
        *,
        leads: int,
        seed: int,
        leads_per_second: float,
        database: Path | None,
        now: datetime | None,
        rate_limits: bool,
        organization: str = SANDBOX.name,
    ) -> None:
        self.leads = leads
        self.seed = seed
        self.leads_per_second = leads_per_second
        self.now = now
        self.rate_limits = rate_limits
        self.base = ""
        self.behaviour = Behaviour()
        self.jobs = JobSettings()
        self.limits = RateLimits(RateLimitSettings(enabled=rate_limits))
        self.faults = Faults()
        self.main = Tenant(replace(SANDBOX, name=organization), Store(database))
        self.other = Tenant(OTHER, Store())
        members = (
            Member("api_sandbox.admin", ADMIN, self.main),
            Member("api_sandbox.admin2", ADMIN, self.main),
            Member("api_sandbox.user", USER, self.main),
            Member("api_sandbox.other", OTHER_ADMIN, self.other),
        )
        self._keys = {member.key: member for member in members}
        self._tokens = {member.key.removeprefix("api_"): member for member in members}
        try:
            if not self.main.store.is_ready():
                self.fill(leads, seed)
            self._fill(self.other, 0, seed)
        except BaseException:
            self.close()
            raise

    @property
    def tenants(self) -> tuple[Tenant, ...]:
        """All organisations."""
        return (self.main, self.other)

    def member_by_key(self, key: str) -> Member | None:
        """The owner of an API key."""
        return self._keys.get(key)

    def member_by_token(self, token: str) -> Member | None:
        """The owner of an access token: the key without its prefix."""
        return self._tokens.get(token)

    def reset(self, leads: int | None, seed: int | None) -> None:
        """Reset everything, optionally to another number of leads or seed."""
        self.behaviour = Behaviour()
        self.jobs = JobSettings()
        self.limits.reset(RateLimitSettings(enabled=self.rate_limits))
        self.faults.clear()
        self.fill(self.leads if leads is None else leads, self.seed if seed is None else seed)
        self._fill(self.other, 0, 0)

    def fill(self, leads: int, seed: int) -> None:
        """Recreate the sandbox's organisation."""
        self._fill(self.main, leads, seed)

    def _fill(self, tenant: Tenant, leads: int, seed: int) -> None:
        now = self.now or datetime.now(UTC)
        rebuild = leads > 0 or not tenant.store.is_ready()
        with tenant.store.writing() as connection:
            if rebuild:
                tenant.store.create_tables(connection)
            else:
                tenant.store.empty(connection)
            add_customizations(connection, tenant.organization, now)
            seed_leads(connection, leads, seed, now)
            if rebuild:
                tenant.store.create_indexes(connection)

    def close(self) -> None:
        """Close the databases."""
        for tenant in self.tenants:
            tenant.store.close()
