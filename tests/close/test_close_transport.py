"""What is tried again, what never is, and how long that takes."""

import logging
import pickle
import re
import socket
from collections.abc import Callable, Generator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta

import pytest
from pydantic import SecretStr
from scripted_close import KEY, Answer, Clock, ScriptedClose

from tasks.close.client import CloseClient
from tasks.close.errors import BadRequest, CloseError, CloseUnavailable, MissingKey, NotFound, RateLimited, WrongKey
from tasks.close.settings import CloseSettings
from tasks.close.transport import LONGEST_BACKOFF, READ_PATIENCE, START_PATIENCE

ME = Answer({"id": "user_1"})
JOB = Answer({"id": "bulkdelete_1", "status": "created"})
LEADS = {"type": "object_type", "object_type": "lead"}
HTML = Answer(b"<html>Sorry!</html>", headers={"content-type": "text/html"})


def limited(header: str = "", *, retry_after: str = "", body: object = None) -> Answer:
    headers = {"ratelimit": header, "retry-after": retry_after}
    return Answer(body, 429, {name: value for name, value in headers.items() if value})


@contextmanager
def nobody_there(clock: Clock) -> Generator[CloseClient]:
    """A client of an address that is bound, but where nobody listens: connections are refused."""
    with socket.socket() as nobody:
        nobody.bind(("127.0.0.1", 0))
        url = f"http://127.0.0.1:{nobody.getsockname()[1]}/api/v1/"
        settings = CloseSettings(api_url=url, api_key=SecretStr(KEY))
        with CloseClient(settings, sleep=clock.sleep, clock=clock, random=lambda: 0.5) as close:
            yield close


class TestReads:
    @pytest.mark.parametrize(
        "trouble",
        [
            Answer(None, 500),
            Answer(b"<html>Bad Gateway</html>", 502),
            Answer({"error": "busy"}, 503),
            Answer(None, 504),
            Answer(hang_up=True),
            Answer({"id": "user_1"}, cut=7),
            HTML,
            Answer(b'{"id": "user_'),
            Answer(b"\xff\xfe\x00"),
            Answer([1, 2]),
            Answer(b"not gzip", headers={"content-encoding": "gzip"}),
        ],
        ids=lambda answer: str(answer)[7:60],
    )
    def test_a_read_without_a_usable_answer_is_tried_again(
        self, server: ScriptedClose, close: CloseClient, trouble: Answer
    ) -> None:
        server.will_answer(trouble, trouble, ME)

        assert close.me().id == "user_1"
        assert server.paths == ["GET /me/"] * 3

    def test_searching_is_a_read_although_it_is_a_post(self, server: ScriptedClose, close: CloseClient) -> None:
        server.will_answer(Answer(hang_up=True), Answer(None, 503), Answer({"data": [], "count": {"total": 7}}))

        assert close.count(LEADS) == 7

    def test_each_wait_is_twice_as_long_up_to_a_bound(
        self, server: ScriptedClose, close: CloseClient, clock: Clock
    ) -> None:
        server.will_answer(*[Answer(None, 503)] * 8, ME)

        close.me()

        assert clock.sleeps == [0.5, 1, 2, 4, 8, *[LONGEST_BACKOFF / 2] * 3]

    @pytest.mark.parametrize("trouble", [Answer(None, 503, {"trace-id": "0af7"}), limited(retry_after="0.01")])
    @pytest.mark.parametrize("luck", [0.05, 0.5, 1.0])
    def test_a_read_goes_on_for_two_minutes_however_many_tries_that_takes(
        self, server: ScriptedClose, connect: Callable[..., CloseClient], clock: Clock, trouble: Answer, luck: float
    ) -> None:
        """Patience is time. A number of tries would be used up in seconds by a storm of 429s."""
        close = connect(random=lambda: luck)
        server.will_answer(*[trouble] * 1000)

        with pytest.raises((CloseUnavailable, RateLimited)):
            close.me()

        assert sum(clock.sleeps) == pytest.approx(READ_PATIENCE)
        assert len(server.asked) > 7

    def test_a_refused_connection_is_tried_for_two_minutes_and_the_log_says_why(
        self, clock: Clock, caplog: pytest.LogCaptureFixture
    ) -> None:
        caplog.set_level(logging.INFO, "tasks.close.transport")

        with nobody_there(clock) as close, pytest.raises(CloseUnavailable, match="can't be reached"):
            close.me()

        assert sum(clock.sleeps) == pytest.approx(READ_PATIENCE)
        why = r"Close at http://127\.0\.0\.1:\d+ can't be reached \(connection refused\): .* Trying again in 0\.5 s\."
        assert re.fullmatch(why, caplog.messages[0])

    def test_the_error_of_the_last_try_says_what_to_do(self, server: ScriptedClose, close: CloseClient) -> None:
        server.will_answer(*[Answer(None, 503, {"trace-id": "0af7"})] * 100)

        with pytest.raises(
            CloseUnavailable, match=r"Close has a problem with GET /me/ \(503, trace id 0af7\): try again"
        ) as caught:
            close.me()

        assert caught.value.status == 503

    def test_no_try_begins_before_close_allows_it_or_after_patience_has_run_out(
        self, server: ScriptedClose, close: CloseClient, clock: Clock
    ) -> None:
        server.will_answer(*[limited("limit=16, remaining=0, reset=50")] * 5)

        with pytest.raises(RateLimited, match=r"try again in 50 s\.") as caught:
            close.me()

        assert caught.value.retry_after == 50
        assert sum(clock.sleeps) <= READ_PATIENCE
        assert len(server.asked) == 3

    @pytest.mark.parametrize("status", [400, 401, 402, 403, 404, 405, 409, 415])
    def test_a_refusal_is_final(self, server: ScriptedClose, close: CloseClient, status: int) -> None:
        server.will_answer(Answer({"error": "no"}, status))

        with pytest.raises(CloseError):
            close.me()

        assert server.paths == ["GET /me/"]

    def test_a_redirect_is_not_followed_and_the_key_goes_nowhere_else(
        self, server: ScriptedClose, close: CloseClient
    ) -> None:
        server.will_answer(Answer(None, 302, {"location": "/api/v1/elsewhere/"}))

        with pytest.raises(CloseUnavailable, match="redirect"):
            close.me()

        assert server.paths == ["GET /me/"]


class TestRateLimits:
    @pytest.mark.parametrize(
        ("answer", "seconds"),
        [
            (limited("limit=100, remaining=0, reset=5", retry_after="9"), 5),
            (limited("limit=16; remaining=0; reset=3.2", body={"error": {"rate_reset": 3.2}}), 3.2),
            (limited(retry_after="4", body={"error": "Slow down."}), 4),
            (limited("limit=many", retry_after="Mon, 23 Nov 2026 10:00:00 GMT"), 2),
            (limited(retry_after="nan"), 2),
            (limited(body=b"<html>"), 2),
            (limited(), 2),
        ],
        ids=["commas", "semicolons", "retry-after", "a date", "nan", "html", "nothing"],
    )
    def test_a_429_is_waited_out_for_as_long_as_close_says(
        self, server: ScriptedClose, close: CloseClient, clock: Clock, answer: Answer, seconds: float
    ) -> None:
        server.will_answer(answer, ME)

        close.me()

        assert clock.sleeps == [pytest.approx(seconds + 0.5)]  # half a second of jitter

    def test_an_empty_bucket_is_waited_out_before_close_has_to_say_so(
        self, server: ScriptedClose, close: CloseClient, clock: Clock
    ) -> None:
        spent = Answer({"id": "user_1"}, headers={"ratelimit": "limit=160; remaining=0; reset=7.5"})
        server.will_answer(spent, JOB, ME)

        close.me()
        close.bulk_delete("bulkdelete_1")  # another bucket
        assert clock.sleeps == []

        close.me()
        assert clock.sleeps == [7.5]

    def test_an_absurd_reset_does_not_stop_the_world(
        self, server: ScriptedClose, close: CloseClient, clock: Clock
    ) -> None:
        server.will_answer(Answer({"id": "user_1"}, headers={"ratelimit": "limit=1, remaining=0, reset=999999999"}), ME)

        close.me()
        close.me()

        assert clock.sleeps == [READ_PATIENCE]

    def test_the_limits_seen_are_kept_by_endpoint_not_by_object(
        self, server: ScriptedClose, close: CloseClient
    ) -> None:
        server.will_answer(
            Answer({"id": "bulkdelete_1"}, headers={"ratelimit": "limit=240, remaining=200, reset=8"}),
            Answer({"id": "bulkdelete_2"}, headers={"ratelimit": "limit=240, remaining=199, reset=7.9"}),
        )

        close.bulk_delete("bulkdelete_1")
        close.bulk_delete("bulkdelete_2")

        [(bucket, limit)] = close.rate_limits.items()
        assert bucket == "GET /bulk_action/delete/{id}/"
        assert (limit.limit, limit.remaining, limit.reset) == (240, 199, pytest.approx(7.9))


class TestTheOnePost:
    """Close has no idempotency key: a bulk delete is sent again only if Close can't have accepted it."""

    @pytest.mark.parametrize(
        "trouble",
        [
            Answer(None, 500),
            Answer(None, 502),
            Answer({"error": "busy"}, 503),
            Answer(None, 504),
            Answer(None, 408),
            Answer(None, 409),
            Answer(hang_up=True),
            Answer({"id": "bulkdelete_1"}, cut=7),
            HTML,
            Answer([]),
            Answer({"status": "created"}),
            Answer({"id": ""}),
            Answer({"id": 7}),
            Answer(None, 204),
            Answer(None, 301, {"location": "/api/v1/bulk_action/delete/"}),
            Answer(None, 307, {"location": "/api/v1/bulk_action/delete/"}),
        ],
        ids=lambda answer: str(answer)[7:60],
    )
    def test_anything_ambiguous_is_not_sent_again(
        self, server: ScriptedClose, close: CloseClient, trouble: Answer
    ) -> None:
        server.will_answer(trouble, JOB)

        with pytest.raises(CloseError) as caught:
            close.start_bulk_delete(LEADS)

        assert not caught.value.nothing_started
        assert server.paths == ["POST /bulk_action/delete/"]
        if isinstance(caught.value, CloseUnavailable):
            assert str(caught.value).endswith("it may have taken effect; look in Close before you try again.")

    def test_a_reply_that_takes_too_long_is_ambiguous(
        self, server: ScriptedClose, connect: Callable[..., CloseClient]
    ) -> None:
        server.will_answer(Answer({"id": "bulkdelete_1"}, after=30), JOB)

        with pytest.raises(CloseUnavailable, match="ReadTimeout") as caught:
            connect(timeout=0.2).start_bulk_delete(LEADS)

        assert caught.value.maybe_accepted
        assert server.paths == ["POST /bulk_action/delete/"]

    @pytest.mark.parametrize("status", [400, 401, 402, 403, 404, 405, 413, 415, 422])
    def test_a_refusal_proves_that_nothing_started(
        self, server: ScriptedClose, close: CloseClient, status: int
    ) -> None:
        server.will_answer(Answer({"error": "no"}, status), JOB)

        with pytest.raises(CloseError) as caught:
            close.start_bulk_delete(LEADS)

        assert caught.value.nothing_started
        assert server.paths == ["POST /bulk_action/delete/"]

    def test_a_429_proves_that_nothing_started_and_is_sent_again(
        self, server: ScriptedClose, close: CloseClient, clock: Clock
    ) -> None:
        server.will_answer(limited("limit=5; remaining=0; reset=3.5"), JOB)

        assert close.start_bulk_delete(LEADS).id == "bulkdelete_1"
        assert clock.sleeps == [4]

    def test_it_is_sent_soon_or_not_at_all(self, server: ScriptedClose, close: CloseClient, clock: Clock) -> None:
        server.will_answer(*[limited(retry_after="4")] * 9)

        with pytest.raises(RateLimited) as caught:
            close.start_bulk_delete(LEADS)

        assert caught.value.nothing_started
        assert sum(clock.sleeps) <= START_PATIENCE

    def test_a_refused_connection_is_tried_again_and_proves_that_nothing_started(self, clock: Clock) -> None:
        with nobody_there(clock) as close, pytest.raises(CloseUnavailable, match="can't be reached") as caught:
            close.start_bulk_delete(LEADS)

        assert caught.value.nothing_started
        assert not caught.value.maybe_accepted
        assert sum(clock.sleeps) == pytest.approx(START_PATIENCE)

    @pytest.mark.parametrize("once", ["start", "create"])
    def test_after_this_machine_has_slept_nothing_is_sent_that_must_happen_once(
        self, server: ScriptedClose, clock: Clock, monkeypatch: pytest.MonkeyPatch, once: str
    ) -> None:
        """The clock of the wait stands still meanwhile; the time of day doesn't. A lock or a claim may have run out."""
        time_of_day = [1000.0]
        monkeypatch.setattr("tasks.close.transport.time.time", lambda: time_of_day[0])
        server.will_answer(limited("limit=16, remaining=0, reset=1"), JOB)

        def lid_is_closed(seconds: float) -> None:
            clock.sleep(seconds)
            time_of_day[0] += 3600

        settings = CloseSettings(api_url=server.url, api_key=SecretStr(KEY))
        with (
            CloseClient(settings, sleep=lid_is_closed, clock=clock) as close,
            pytest.raises(CloseUnavailable, match="This machine slept") as caught,
        ):
            close.start_bulk_delete(LEADS) if once == "start" else close.create("lead", {"name": "A"})

        assert caught.value.nothing_started
        assert len(server.asked) == 1

    def test_it_has_a_connection_of_its_own(self, server: ScriptedClose, close: CloseClient) -> None:
        """A kept connection may be closed by Close just as we write to it, and nobody could say what happened."""
        server.will_answer(ME, ME, JOB, JOB)

        close.me()
        close.me()
        close.start_bulk_delete(LEADS)
        close.start_bulk_delete(LEADS)

        first, second, third, fourth = (asked.connection for asked in server.asked)
        assert first == second
        assert len({first, third, fourth}) == 3

    @pytest.mark.parametrize("trouble", [Answer(None, 503), Answer(hang_up=True), limited()])
    def test_resuming_is_not_sent_again(self, server: ScriptedClose, close: CloseClient, trouble: Answer) -> None:
        server.will_answer(trouble)

        with pytest.raises(CloseError):
            close.resume_bulk_delete("bulkdelete_1")

        assert server.paths == ["PUT /bulk_action/delete/bulkdelete_1/"]

    def test_pausing_is_sent_until_close_answers(self, server: ScriptedClose, close: CloseClient) -> None:
        """Whoever cancels wants it to stop; asking twice does no harm."""
        server.will_answer(Answer(None, 503), Answer(hang_up=True), Answer({"id": "bulkdelete_1", "status": "paused"}))

        assert close.pause_bulk_delete("bulkdelete_1").status == "paused"

    @pytest.mark.parametrize("status", [400, 403, 404, 429])
    def test_a_failed_read_says_nothing_about_what_was_started(
        self, server: ScriptedClose, close: CloseClient, status: int
    ) -> None:
        """A look at Close after a lost reply may fail as well: that must not pass for "nothing started"."""
        server.will_answer(*[Answer(None, status, {"retry-after": "500"})] * 2)

        with pytest.raises(CloseError) as looked:
            close.bulk_deletes()
        with pytest.raises(CloseError) as counted:
            close.count(LEADS)

        assert not looked.value.nothing_started
        assert not counted.value.nothing_started


class TestCredentials:
    def test_an_api_key_is_the_user_name_of_basic_auth(
        self, server: ScriptedClose, connect: Callable[..., CloseClient]
    ) -> None:
        server.will_answer(ME)

        connect(api_key=SecretStr("api_a.b")).me()

        assert server.asked[0].headers["authorization"] == "Basic YXBpX2EuYjo="
        assert server.asked[0].headers["user-agent"].startswith("close-lead-cleanup/")

    def test_an_access_token_is_a_bearer(self, server: ScriptedClose, connect: Callable[..., CloseClient]) -> None:
        server.will_answer(ME)

        connect(api_key=None, access_token=SecretStr("token")).me()

        assert server.asked[0].headers["authorization"] == "Bearer token"

    def test_without_either_nothing_is_sent(self, connect: Callable[..., CloseClient]) -> None:
        with pytest.raises(MissingKey, match="set CLOSE_API_KEY"):
            connect(api_key=None)

    def test_a_401_from_me_is_certainly_the_key(self, server: ScriptedClose, close: CloseClient) -> None:
        server.will_answer(Answer({"error": "Unauthorized"}, 401))

        with pytest.raises(WrongKey, match="Close refuses the API key"):
            close.me()

    def test_a_401_from_anywhere_else_may_be_a_missing_permission(
        self, server: ScriptedClose, close: CloseClient
    ) -> None:
        server.will_answer(Answer({"error": "Unauthorized"}, 401))

        with pytest.raises(WrongKey, match="the API key is wrong, or its user may not do this"):
            close.start_bulk_delete(LEADS)

    def test_the_key_is_in_no_error_repr_or_log(
        self, server: ScriptedClose, close: CloseClient, caplog: pytest.LogCaptureFixture
    ) -> None:
        caplog.set_level(logging.DEBUG)
        server.will_answer(
            Answer(None, 503), Answer({"error": f"Bad key {KEY}"}, 400), Answer({"error": f"Bad key {KEY}"}, 401)
        )
        with pytest.raises(BadRequest) as bad:
            close.me()
        with pytest.raises(WrongKey) as wrong:
            close.me()

        seen = [
            caplog.text,
            *(repr(thing) + str(thing) + str(vars(thing)) for thing in (bad.value, wrong.value, close)),
        ]
        assert not any(KEY in text or "fedcba9876543210" in text for text in seen)

    def test_the_proxy_of_the_environment_is_not_asked_for_this_machine(
        self, server: ScriptedClose, connect: Callable[..., CloseClient], monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setenv("HTTP_PROXY", "http://127.0.0.1:1")
        monkeypatch.setenv("ALL_PROXY", "http://127.0.0.1:1")
        server.will_answer(ME)

        assert connect().me().id == "user_1"

    def test_threads_share_a_client(self, server: ScriptedClose, close: CloseClient) -> None:
        server.will_answer(*[Answer({"data": [], "count": {"total": 7}})] * 40)

        with ThreadPoolExecutor(8) as threads:
            assert list(threads.map(close.count, [LEADS] * 40)) == [7] * 40


class TestTime:
    """Our server sends a ``Date`` of its own; what a test adds is a second one, as some proxies do."""

    @pytest.mark.parametrize(
        "date",
        [
            "Fri, 29 May 2020 12:00:00 GMT",
            "Fri, 29 May 2020 12:00:00",
            "Fri, 29 May 2020 12:00:00 -0000",
            "Fri, 29 May 2020 14:00:00 +0200",
            "Fri, 29 May 2020 12:00:00 GMT, Fri, 29 May 2020 12:00:00 GMT",
        ],
    )
    def test_the_earliest_date_counts_and_without_a_zone_it_is_gmt(
        self, server: ScriptedClose, close: CloseClient, date: str
    ) -> None:
        """Whatever is compared with it is then spared, or refused, rather than deleted."""
        server.will_answer(Answer({"id": "user_1"}, headers={"Date": date}))

        close.me()

        assert close.time == datetime(2020, 5, 29, 12, tzinfo=UTC)

    @pytest.mark.parametrize("date", ["", "soon", "Fri, 29 May 99999 12:00:00 GMT", "Fri, 29 May 2020 12:00:00 +9999"])
    def test_a_date_that_can_not_be_read_is_ignored(self, server: ScriptedClose, close: CloseClient, date: str) -> None:
        server.will_answer(Answer({"id": "user_1"}, headers={"Date": date}))

        close.me()

        assert close.time
        assert abs(datetime.now(UTC) - close.time) < timedelta(minutes=5)


class TestErrors:
    def test_every_error_survives_pickling_with_its_facts(self) -> None:
        """Prefect stores the exception of a failed task."""
        error = NotFound("gone", method="GET", path="/me/", status=404)

        again = pickle.loads(pickle.dumps(error))

        assert (type(again), str(again), vars(again)) == (NotFound, "gone", vars(error))

    def test_the_path_has_no_query_string(self, server: ScriptedClose, close: CloseClient) -> None:
        server.will_answer(Answer(None, 404))

        with pytest.raises(NotFound, match=r"Close doesn't know /saved_search/ \(404\)") as caught:
            close.smart_views()

        assert (caught.value.method, caught.value.path) == ("GET", "/saved_search/")
