"""How a run can end, and what each end means to Prefect, to the shell and to people.

::

    nothing_to_do   dry_run   skipped   deleted      Completed   exit 0
    restored                                         Completed   exit 0
    failed                                           Failed      exit 1   wakes someone
    refused   declined   expired                     Failed      exit 3   nothing was deleted
    still_running                                    Failed      exit 4   Close is still deleting
    unknown                                          Failed      exit 5   was it started? wakes someone
    cancelled                                        Cancelled   exit 6

Exit 2 is for wrong usage and invalid parameters: there was no run.
"""

from enum import StrEnum

from tasks.close.errors import CloseError, CloseUnavailable, RateLimited


class Outcome(StrEnum):
    """The end of a run. The value is what reports and ``--json`` print."""

    NOTHING_TO_DO = "nothing_to_do"
    DRY_RUN = "dry_run"
    SKIPPED = "skipped"
    DELETED = "deleted"
    RESTORED = "restored"
    FAILED = "failed"
    REFUSED = "refused"
    DECLINED = "declined"
    EXPIRED = "expired"
    STILL_RUNNING = "still_running"
    UNKNOWN = "unknown"
    CANCELLED = "cancelled"

    @property
    def good(self) -> bool:
        """Whether nobody needs to look."""
        return self in {
            *(Outcome.NOTHING_TO_DO, Outcome.DRY_RUN, Outcome.SKIPPED),
            *(Outcome.DELETED, Outcome.RESTORED),
        }

    @property
    def state_name(self) -> str:
        """The name of the run's final state in Prefect, in the manner of Prefect's own: ``NothingToDo``."""
        return self.value.title().replace("_", "")

    @property
    def exit_code(self) -> int:
        """What the command line exits with."""
        return 0 if self.good else _exit_codes[self]


_exit_codes = {
    Outcome.FAILED: 1,
    Outcome.REFUSED: 3,
    Outcome.DECLINED: 3,
    Outcome.EXPIRED: 3,
    Outcome.STILL_RUNNING: 4,
    Outcome.UNKNOWN: 5,
    Outcome.CANCELLED: 6,
}


class Foreseen(Exception):
    """An end of a run that was foreseen: its message says all there is, and no traceback is needed."""


class Stop(Foreseen):
    """The run ends here, with *outcome*. The message is for the person who reads the report."""

    def __init__(self, outcome: Outcome, message: str) -> None:
        super().__init__(outcome, message)
        self.outcome = outcome
        self.message = message

    def __str__(self) -> str:
        return self.message


class Refused(Stop):
    """A guard stopped the run before anything was deleted."""

    def __init__(self, message: str) -> None:
        super().__init__(Outcome.REFUSED, message)
        self.args = (message,)  # what the exception is built from again after pickling


def outcome_of(error: Stop | CloseError) -> Outcome:
    """What *error* makes of a run. Close being away is a failure; what Close rejects or forbids is a refusal."""
    match error:
        case Stop():
            return error.outcome
        case CloseUnavailable() | RateLimited():
            return Outcome.FAILED
        case CloseError():
            return Outcome.REFUSED
