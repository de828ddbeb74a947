"""The API: one module per kind of object."""

from __future__ import annotations

from collections.abc import Sequence

from starlette.routing import BaseRoute

from deployments.sandbox.api import account, bulk_delete, children, leads, records, search, views

ROUTES: Sequence[BaseRoute] = [
    each for module in (account, search, views, leads, children, bulk_delete, records) for each in module.ROUTES
]
