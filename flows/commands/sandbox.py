"""``lead-cleanup sandbox``: a stand-in for Close, with its keys and what to set."""

import signal
from pathlib import Path
from typing import Annotated

from cyclopts import Parameter

from flows.console.arguments import number, whole_number
from flows.console.terminal import Usage, put

ADMIN_KEY = "api_sandbox.admin"
USER_KEY = "api_sandbox.user"


def sandbox(
    *,
    port: Annotated[int, Parameter(converter=whole_number, help="Port on 127.0.0.1; 0 takes any free one.")] = 8765,
    leads: Annotated[int, Parameter(converter=whole_number, help="How many leads to make up.")] = 1000,
    seed: Annotated[
        int,
        Parameter(converter=whole_number, help="Which leads to make up: the same seed makes the same organisation."),
    ] = 7,
    leads_per_second: Annotated[float, Parameter(converter=number, help="How fast bulk deletes go.")] = 200,
    database: Annotated[
        Path | None, Parameter(help="SQLite file to keep the organisation in; created if missing.")
    ] = None,
    rate_limits: Annotated[
        bool, Parameter(negative="--no-rate-limits", help="Answer 429 as Close does when requests come too fast.")
    ] = True,
    organization: Annotated[
        str, Parameter(help="The organisation's name; its id follows from it, so that two can be told apart.")
    ] = "Sandbox Inc.",
) -> int:
    """Serve a stand-in for Close on this machine until Ctrl-C, with an organisation that is made up."""
    from deployments.sandbox.server import PortInUse, Sandbox

    if leads < 0 or leads_per_second <= 0 or not 0 <= port <= 65535:
        raise Usage("--leads must be 0 or more, --leads-per-second more than 0, and --port between 0 and 65535.")
    try:
        server = Sandbox(
            leads=leads,
            seed=seed,
            leads_per_second=leads_per_second,
            port=port,
            database=database,
            rate_limits=rate_limits,
            organization=organization,
        )
    except (PortInUse, ValueError) as error:
        raise Usage(f"{error}.") from None
    signal.signal(signal.SIGTERM, signal.default_int_handler)  # stop as cleanly as after Ctrl-C
    with server:
        whose = f"{organization} ({server.state.main.organization.id})"
        put(f"Serving a stand-in for Close at {server.url} with {leads:,} leads of {whose}; Ctrl-C stops it.")
        put(f"Keys: {ADMIN_KEY}, and {USER_KEY}, whose user may not bulk delete. In another terminal:")
        put(f"  export CLOSE_API_URL={server.url}\n  export CLOSE_API_KEY={ADMIN_KEY}")
        try:
            server.wait()
        except KeyboardInterrupt:
            return 0
    return 0
