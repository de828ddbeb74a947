"""A flow that refuses wrong parameters as it refuses everything else: in one sentence, with a name and a report.

Prefect validates parameters before a flow begins: a run with wrong ones fails with a traceback, under a random name.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from inspect import Parameter, Signature, signature
from typing import Any, ParamSpec, TypeVar

from prefect import Flow, flow_engine
from prefect.client.schemas.objects import FlowRun
from prefect.runtime import flow_run
from prefect.utilities.callables import parameter_schema
from pydantic import ConfigDict, Field, ValidationError, create_model
from pydantic_core import MISSING

from tasks.close.problems import problems
from tasks.runs.outcomes import Refused

P = ParamSpec("P")
R = TypeVar("R")


@dataclass(frozen=True)
class Wrong:
    """What is wrong with a run's parameters, in place of its first one."""

    problems: str


class CheckedFlow(Flow[P, R]):
    """A flow that begins with any parameters. Its first steps must include `check_parameters`."""

    __signature__: Signature
    """What Prefect makes the form of."""

    def __init__(self, *args: Any, **options: Any) -> None:
        super().__init__(*args, **options)
        self.__signature__ = _as_form(signature(self.fn))
        self.parameters = parameter_schema(self)

    def validate_parameters(self, parameters: dict[str, Any]) -> dict[str, Any]:
        """Return *parameters* as values of the flow's types, with its defaults.

        If any are wrong, return the right ones unchanged, and `Wrong` in place of the first parameter.
        """
        wanted = signature(self.fn).parameters
        fields: dict[str, Any] = {
            name: (each.annotation, ... if each.default is Parameter.empty else each.default)
            for name, each in wanted.items()
        }
        model = create_model("Parameters", __config__=ConfigDict(extra="forbid"), **fields)
        try:
            return dict(model.model_validate(parameters))
        except ValidationError as error:
            wrong = {each["loc"][0] for each in error.errors(include_input=False, include_context=False)}
            right = {name: value for name, value in parameters.items() if name not in wrong}
            return {**right, next(iter(wanted)): Wrong(problems(error, parameters))}


def _as_form(wanted: Signature) -> Signature:
    """The signature *wanted*, with titles in words, and no default where that is None.

    A default of None would make each form ask which type is meant, or submit null where a number is expected.
    """
    fields = [each.replace(default=_field(each)) for each in wanted.parameters.values()]
    return wanted.replace(parameters=fields)


def _field(parameter: Parameter) -> Any:
    default = MISSING if parameter.default is None else parameter.default
    return Field(
        default=... if default is Parameter.empty else default,
        json_schema_extra={"title": parameter.name.replace("_", " ").capitalize()},
    )


_bind = flow_engine._flow_parameters  # pyright: ignore[reportPrivateUsage]


def _as_given(
    flow: Flow[..., Any], flow_run: FlowRun | None, parameters: dict[str, Any] | None = None
) -> dict[str, Any]:
    """Return the parameters of a `CheckedFlow`'s run as they are, for `CheckedFlow.validate_parameters`.

    On a worker, Prefect binds them to the flow's signature first, so that a missing one or an unknown name ends the
    process before the run begins: no state, no report. It has no other place where a flow could have a say in that.
    """
    if isinstance(flow, CheckedFlow) and flow_run and not parameters:
        return flow_run.parameters
    return _bind(flow=flow, flow_run=flow_run, parameters=parameters)


flow_engine._flow_parameters = _as_given  # pyright: ignore[reportPrivateUsage]


def checked_flow(**options: Any) -> Callable[[Callable[P, R]], CheckedFlow[P, R]]:
    """Make a function a `CheckedFlow` with these *options* of ``prefect.flow``."""
    return lambda function: CheckedFlow(function, **options)


def wrong_in(parameters: Mapping[str, object]) -> Wrong | None:
    """What is wrong with the current run's *parameters*, None if nothing is."""
    return next((each for each in parameters.values() if isinstance(each, Wrong)), None)


def check_parameters() -> None:
    """Raise `Refused`, which says where and why, if the parameters of the current run can't be used."""
    if wrong := wrong_in(flow_run.get_parameters()):
        raise Refused(f"The run's parameters can't be used: {wrong.problems}.")
