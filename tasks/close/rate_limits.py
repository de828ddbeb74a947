"""Close's rate limits, which every answer states: kept by waiting, rather than met as a 429."""

import re
from collections import Counter
from collections.abc import Callable, Generator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, replace
from threading import Lock

# Close documents commas, and sends semicolons and decimals.
_HEADER = re.compile(r"limit=(\d{1,9})\s*[,;]\s*remaining=(\d{1,9})\s*[,;]\s*reset=(\d{1,9}(?:\.\d+)?)")
AGAIN = 0.1
"""Seconds until the next look, when no answer says when a request will be free."""
SAME_WINDOW = 1.5
"""Seconds by which two answers may differ on when a limit is renewed, since they round them."""


@dataclass(frozen=True)
class RateLimit:
    """The rate limit of an endpoint: requests, and seconds from `seen` (by the clock) until they are renewed."""

    limit: int
    remaining: int
    reset: float
    seen: float

    def left(self, now: float) -> int:
        """How many requests are left *now*: once the limit is renewed, at least one."""
        return self.remaining if now < self.ends else max(self.limit, 1)

    @property
    def ends(self) -> float:
        """When it is renewed, by the clock."""
        return self.seen + self.reset


class RateLimits:
    """What is left of the rate limits of one key, by method and endpoint. Safe to use from several threads.

    Close doesn't say which endpoints share a limit: those whose limits are equal are taken to.
    """

    def __init__(self, *, clock: Callable[[], float], sleep: Callable[[float], None]) -> None:
        self._clock, self._sleep = clock, sleep
        self._seen: dict[str, RateLimit] = {}
        self._under_way = Counter[str]()
        """Requests that Close may not have counted yet in what it said last."""
        self._lock = Lock()

    @property
    def seen(self) -> Mapping[str, RateLimit]:
        """What Close said last of each."""
        with self._lock:
            return dict(self._seen)

    def left(self, bucket: str) -> int | None:
        """How many requests may be sent without waiting; None if Close hasn't said yet."""
        with self._lock:
            return self._left(bucket)

    def note(self, bucket: str, header: str) -> RateLimit | None:
        """Store what the *header* of an answer says; return it, None if it says nothing."""
        if not (found := _HEADER.match(header)):
            return None
        limit, remaining, reset = found.groups()
        seen = RateLimit(int(limit), int(remaining), float(reset), self._clock())
        with self._lock:
            before = self._seen.get(bucket)
            if before and seen.seen < before.ends and abs(before.ends - seen.ends) < SAME_WINDOW:
                # Answers may overtake one another, and each rounds the end of the window up.
                remaining, ends = min(before.remaining, seen.remaining), min(before.ends, seen.ends)
                seen = replace(seen, remaining=remaining, reset=ends - seen.seen)
            self._seen[bucket] = seen
        return seen

    @contextmanager
    def room(self, bucket: str, until: float) -> Generator[None]:
        """Wait for room for one request, which the block sends. After *until* (by the clock) there is room for all."""
        while wait := self._take(bucket, until):
            self._sleep(wait)
        try:
            yield
        finally:
            with self._lock:
                self._under_way[bucket] -= 1

    def _take(self, bucket: str, until: float) -> float:
        """Take the room for one request; or take nothing, and return the seconds after which to look again."""
        with self._lock:
            now = self._clock()
            left = self._left(bucket)
            if left is None or left > 0 or now >= until:
                self._under_way[bucket] += 1
                return 0.0
            return min(max(self._scarcest(bucket).ends - now, AGAIN), until - now)

    def _left(self, bucket: str) -> int | None:
        if bucket not in self._seen:
            return None
        under_way = sum(self._under_way[each] for each in self._shared_with(bucket))
        return max(self._scarcest(bucket).left(self._clock()) - under_way, 0)

    def _scarcest(self, bucket: str) -> RateLimit:
        """What is known of the limit of *bucket*: of its endpoints' answers the one that leaves the fewest requests."""
        now = self._clock()
        return min((self._seen[each] for each in self._shared_with(bucket)), key=lambda each: each.left(now))

    def _shared_with(self, bucket: str) -> list[str]:
        limit = self._seen[bucket].limit
        return [each for each, seen in self._seen.items() if seen.limit == limit]
