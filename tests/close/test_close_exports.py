"""Exports: asked for as often as it takes, downloaded from wherever Close says, without the key."""

import gzip
import json
from collections.abc import Callable, Iterator

import pytest
from scripted_close import Answer, ScriptedClose

from tasks.close.client import CloseClient
from tasks.close.errors import CloseUnavailable, NotAllowed
from tasks.close.transport import CHUNK

LEADS = {"type": "object_type", "object_type": "lead"}
FILE = gzip.compress(json.dumps([{"id": f"lead_{number}"} for number in range(5000)]).encode())
PACKED = {"content-encoding": "gzip"}


@pytest.fixture
def elsewhere() -> Iterator[ScriptedClose]:
    """Where Close keeps its files."""
    with ScriptedClose() as running:
        yield running


def done(elsewhere: ScriptedClose) -> Answer:
    return Answer({"id": "expo_1", "status": "done", "download_url": f"{elsewhere.url}file?X-Amz-Signature=s3cret"})


def test_it_asks_for_json_with_everything_that_belongs_to_a_lead(server: ScriptedClose, close: CloseClient) -> None:
    server.will_answer(Answer({"id": "expo_1", "status": "created", "n_docs": None}))

    export = close.start_export(LEADS)

    assert (export.id, export.status, export.total, export.finished) == ("expo_1", "created", None, False)
    assert server.paths == ["POST /export/lead/"]
    assert server.asked[0].body == {
        "s_query": LEADS,
        "format": "json",
        "type": "leads",
        "include_activities": True,
        "include_smart_fields": True,
        "send_done_email": False,
    }


def test_an_export_is_asked_for_again_unlike_a_bulk_delete(server: ScriptedClose, close: CloseClient) -> None:
    server.will_answer(Answer(status=503), Answer(hang_up=True), Answer({"id": "expo_1", "status": "created"}))

    assert close.start_export(LEADS).id == "expo_1"


def test_without_a_query_nothing_is_asked_for(server: ScriptedClose, close: CloseClient) -> None:
    """To Close, no query means every lead."""
    with pytest.raises(ValueError, match="no query means every lead"):
        close.start_export({})

    assert server.asked == []


def test_the_address_is_read_right_before_and_the_key_is_not_sent_there(
    server: ScriptedClose, elsewhere: ScriptedClose, close: CloseClient
) -> None:
    """An address is good for a minute, and belongs to another company than Close."""
    server.will_answer(done(elsewhere))
    elsewhere.will_answer(Answer(FILE, headers=PACKED))

    with close.download("expo_1") as chunks:
        found = json.loads(b"".join(chunks))

    assert len(found) == 5000
    assert server.paths == ["GET /export/expo_1/"]
    assert "authorization" in server.asked[0].headers
    assert "authorization" not in elsewhere.asked[0].headers


def test_a_file_that_is_small_only_while_it_is_packed_is_read_in_parts(
    server: ScriptedClose, elsewhere: ScriptedClose, close: CloseClient
) -> None:
    """The leads of a part are in memory at once, all of them."""
    server.will_answer(done(elsewhere))
    elsewhere.will_answer(Answer(gzip.compress(b" " * 10_000_000), headers=PACKED))

    with close.download("expo_1") as chunks:
        sizes = [len(chunk) for chunk in chunks]

    assert (sum(sizes), max(sizes)) == (10_000_000, CHUNK)


@pytest.mark.parametrize(
    ("answer", "why"),
    [
        (Answer({"error": "expired"}, 403), "the answer is 403"),
        (Answer(status=307, headers={"location": "http://evil.example/"}), "the answer is 307"),
        (Answer(hang_up=True), "RemoteProtocolError"),
        (Answer(FILE, headers=PACKED, cut=len(FILE) // 2), "RemoteProtocolError"),
        (Answer(b"this is not packed", headers=PACKED), "DecodingError"),
    ],
)
def test_a_broken_download_is_one_sentence_without_its_address(
    server: ScriptedClose, elsewhere: ScriptedClose, close: CloseClient, answer: Answer, why: str
) -> None:
    """Whoever has the address has the leads."""
    server.will_answer(done(elsewhere))
    elsewhere.will_answer(answer)

    with pytest.raises(CloseUnavailable) as caught, close.download("expo_1") as chunks:
        list(chunks)

    assert str(caught.value) == f"The file of /export/expo_1/ can't be downloaded ({why}): try again later."


def test_leads_do_not_travel_in_clear(server: ScriptedClose, connect: Callable[..., CloseClient]) -> None:
    from tasks.close.settings import CloseSettings
    from tasks.close.transport import Transport

    settings = CloseSettings(api_url="https://close.example/api/v1/", api_key="api_a.b")  # pyright: ignore[reportArgumentType]
    transport = Transport(settings, sleep=lambda _: None, clock=lambda: 0, random=lambda: 0, renew=lambda: None)

    with pytest.raises(CloseUnavailable, match="isn't https"), transport.download(server.url, "/export/expo_1/"):
        pass

    transport.close()
    assert server.asked == []


def test_an_export_without_an_address_has_nothing_to_download(server: ScriptedClose, close: CloseClient) -> None:
    server.will_answer(Answer({"id": "expo_1", "status": "in_progress", "download_url": None}))

    with pytest.raises(CloseUnavailable, match="it has no address"), close.download("expo_1"):
        pass


def test_what_a_refused_export_says(server: ScriptedClose, close: CloseClient) -> None:
    server.will_answer(Answer({"error": "no"}, 403))

    with pytest.raises(NotAllowed) as caught:
        close.start_export(LEADS)

    assert "bulk delete" in str(caught.value)
