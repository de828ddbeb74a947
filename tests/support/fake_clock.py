"""A clock for tests in which something waits for long."""

import time


class FakeClock:
    """A clock on which sleeping takes no time; what happens at Close meanwhile takes the time it takes."""

    def __init__(self) -> None:
        self._slept = 0.0

    def __call__(self) -> float:
        return time.monotonic() + self._slept

    def sleep(self, seconds: float) -> None:
        time.sleep(min(seconds, 0.02))
        self._slept += seconds
