"""The control plane, outside /api/v1 and without a key: how tests inspect and steer the sandbox."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, TypeVar

from pydantic import BaseModel, ConfigDict, Field, TypeAdapter, ValidationError
from sqlalchemy import delete, select
from starlette.concurrency import run_in_threadpool
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route

from deployments.sandbox.control.load_leads import load_leads
from deployments.sandbox.database import schema
from deployments.sandbox.state import State
from deployments.sandbox.switches.behaviour import Behaviour
from deployments.sandbox.switches.faults import Fault
from deployments.sandbox.switches.jobs import JobSettings
from deployments.sandbox.switches.rate_limits import RateLimitSettings
from deployments.sandbox.wire.body import Body, check_storable
from deployments.sandbox.wire.errors import ApiError
from deployments.sandbox.wire.json_types import Json, JsonObject
from deployments.sandbox.wire.moments import format_moment

Settings = TypeVar("Settings", bound=BaseModel)


class Reset(BaseModel):
    """What to reset to; by default what the sandbox was started with."""

    model_config = ConfigDict(extra="forbid")

    leads: int | None = Field(default=None, ge=0)
    seed: int | None = None


def _route(path: str, method: str, work: Callable[[State, bytes], Json]) -> Route:
    async def endpoint(request: Request) -> Response:
        body = await request.body()
        state: State = request.app.state.sandbox
        try:
            return JSONResponse(await run_in_threadpool(work, state, body or b"{}"))
        except ApiError as error:
            return JSONResponse(error.body, error.status)
        except ValidationError as error:
            return JSONResponse({"error": str(error)}, 400)

    return Route(path, endpoint, methods=[method])


def _requests(state: State, _: bytes) -> Json:
    entries = schema.journal
    with state.main.store.reading() as connection:
        rows = connection.execute(select(entries).order_by(entries.c.pk)).all()
    return [{"method": row.method, "path": row.path, "status": row.status, "at": format_moment(row.at)} for row in rows]


def _forget_requests(state: State, _: bytes) -> Json:
    with state.main.store.writing() as connection:
        connection.execute(delete(schema.journal))
    return {}


def _add_faults(state: State, body: bytes) -> Json:
    state.faults.add(TypeAdapter(list[Fault]).validate_json(body))
    return {}


def _clear_faults(state: State, _: bytes) -> Json:
    state.faults.clear()
    return {}


def _add_leads(state: State, body: bytes) -> Json:
    found = TypeAdapter(list[Any]).validate_json(body)
    check_storable(found)
    leads = Body({"leads": found}).objects("leads")
    with state.main.store.writing() as connection:
        return [*load_leads(connection, state, leads)]


def _reset(state: State, body: bytes) -> Json:
    wanted = Reset.model_validate_json(body)
    state.reset(wanted.leads, wanted.seed)
    return {}


def _store(state: State, settings: Behaviour | JobSettings | RateLimitSettings) -> JsonObject:
    """Use the *settings* from now on, and show them."""
    match settings:
        case Behaviour():
            state.behaviour = settings
        case JobSettings():
            state.jobs = settings
        case RateLimitSettings():
            state.limits.reset(settings)
    return _shown(settings)


def _changed(settings: Settings, body: bytes) -> Settings:
    """Returns *settings* updated with the *body*, validated as a whole."""
    changes = TypeAdapter(dict[str, object]).validate_json(body)
    return type(settings).model_validate({**settings.model_dump(), **changes})


def _shown(settings: BaseModel) -> JsonObject:
    """Returns the value and the meaning of each setting."""
    values: dict[str, Json] = settings.model_dump(mode="json")
    return {
        name: {"value": values[name], "meaning": field.description}
        for name, field in type(settings).model_fields.items()
    }


def routes() -> list[Route]:
    """The routes below /sandbox/."""
    return [
        _route("/sandbox/requests", "GET", _requests),
        _route("/sandbox/requests", "DELETE", _forget_requests),
        _route("/sandbox/faults", "POST", _add_faults),
        _route("/sandbox/faults", "DELETE", _clear_faults),
        _route("/sandbox/leads", "POST", _add_leads),
        _route("/sandbox/reset", "POST", _reset),
        _route("/sandbox/jobs", "GET", lambda state, _: _shown(state.jobs)),
        _route("/sandbox/jobs", "POST", lambda state, body: _store(state, JobSettings.model_validate_json(body))),
        _route("/sandbox/jobs", "DELETE", lambda state, _: _store(state, JobSettings())),
        _route("/sandbox/limits", "GET", lambda state, _: _shown(state.limits.settings)),
        _route("/sandbox/limits", "POST", lambda state, body: _store(state, _changed(state.limits.settings, body))),
        _route("/sandbox/behaviour", "GET", lambda state, _: _shown(state.behaviour)),
        _route("/sandbox/behaviour", "POST", lambda state, body: _store(state, _changed(state.behaviour, body))),
        _route("/sandbox/behaviour", "DELETE", lambda state, _: _store(state, Behaviour())),
    ]
