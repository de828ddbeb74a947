"""Each call, and what becomes of strange answers."""

from collections.abc import Callable
from datetime import UTC, datetime
from traceback import format_exception
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from scripted_close import Answer, ScriptedClose

from tasks.close.client import CloseClient
from tasks.close.errors import BadRequest, CloseError, CloseUnavailable, InvalidQuery, WrongOrganization
from tasks.close.pages import RESTARTS
from tasks.close.resources import BulkDelete, BulkStatus

LEADS = {"type": "object_type", "object_type": "lead"}

FINISHED: dict[str, Any] = {
    "bulk_object_type": "lead",
    "created_by": "user_1",
    "date_created": "2026-11-23T10:00:00.123456+00:00",
    "date_updated": "2026-11-23T10:05:00",
    "id": "bulkdelete_1",
    "n_leads": 77,
    "n_leads_processed": 77,
    "n_objects": 77,
    "n_objects_processed": 77,
    "organization_id": "orga_1",
    "query": None,
    "results_limit": None,
    "s_query": LEADS,
    "send_done_email": False,
    "sort": [],
    "status": "done",
    "updated_by": None,
}


def page(*ids: str, more: bool = False) -> Answer:
    return Answer({"data": [{"id": found} for found in ids], "has_more": more})


def found(*ids: str, cursor: str | None = None) -> Answer:
    return Answer({"data": [{"__object_type": "lead", "id": lead} for lead in ids], "cursor": cursor})


EXPIRED = Answer({"field-errors": {"cursor": "Cursor has expired."}, "errors": []}, 400)


class TestBulkDeletes:
    def test_all_seventeen_fields_are_read(self, server: ScriptedClose, close: CloseClient) -> None:
        server.will_answer(Answer(FINISHED))

        job = close.bulk_delete("bulkdelete_1")

        assert server.paths == ["GET /bulk_action/delete/bulkdelete_1/"]
        assert set(BulkDelete.model_fields) == set(FINISHED)
        assert job.finished
        assert (job.processed, job.total) == (77, 77)
        assert job.date_created == datetime(2026, 11, 23, 10, 0, 0, 123456, tzinfo=UTC)
        assert job.date_updated == datetime(2026, 11, 23, 10, 5, tzinfo=UTC)  # Close's times without a zone are UTC

    @pytest.mark.parametrize("status", list(BulkStatus))
    def test_only_done_and_error_are_final(self, status: BulkStatus) -> None:
        job = BulkDelete.model_validate({"id": "bulkdelete_1", "status": status.value})

        assert job.status is status
        assert job.finished == (status in (BulkStatus.DONE, BulkStatus.ERROR))

    @pytest.mark.parametrize("status", [None, "", "finished", "DONE"])
    def test_a_status_we_do_not_know_is_kept_and_is_not_final(self, status: str | None) -> None:
        job = BulkDelete.model_validate({"id": "bulkdelete_1", "status": status})

        assert job.status == status
        assert not job.finished

    def test_the_totals_are_unknown_until_close_has_looked(self) -> None:
        job = BulkDelete.model_validate({**FINISHED, "n_leads": None, "n_objects": None, "n_leads_processed": 0})

        assert job.total is None

    def test_starting_sends_the_bare_query_without_a_limit_or_mail(
        self, server: ScriptedClose, close: CloseClient
    ) -> None:
        server.will_answer(Answer({**FINISHED, "status": "created"}))

        assert close.start_bulk_delete(LEADS).status is BulkStatus.CREATED
        assert server.asked[0].body == {"s_query": LEADS, "results_limit": None, "sort": [], "send_done_email": False}

    @pytest.mark.parametrize("query", [{}, {"type": ""}, {"query": LEADS, "results_limit": None, "sort": []}])
    def test_what_is_no_query_node_is_never_sent(
        self, server: ScriptedClose, close: CloseClient, query: dict[str, Any]
    ) -> None:
        with pytest.raises(ValueError, match="no query may mean every lead"):
            close.start_bulk_delete(query)

        assert server.asked == []

    def test_pausing_and_resuming_set_the_status(self, server: ScriptedClose, close: CloseClient) -> None:
        server.will_answer(Answer({**FINISHED, "status": "paused"}), Answer({**FINISHED, "status": "resuming"}))

        assert close.pause_bulk_delete("bulkdelete_1").status is BulkStatus.PAUSED
        assert close.resume_bulk_delete("bulkdelete_1").status is BulkStatus.RESUMING
        assert [asked.body for asked in server.asked] == [{"status": "paused"}, {"status": "resuming"}]
        assert server.paths == ["PUT /bulk_action/delete/bulkdelete_1/"] * 2

    @pytest.mark.parametrize("bulk_delete_id", ["", "..", "a/b", "a?b", "bulkdelete_1\n"])
    def test_what_is_no_id_is_never_sent(self, server: ScriptedClose, close: CloseClient, bulk_delete_id: str) -> None:
        with pytest.raises(ValueError, match="is not an id of Close"):
            close.bulk_delete(bulk_delete_id)

        assert server.asked == []


class TestLists:
    def test_every_page_is_read(self, server: ScriptedClose, close: CloseClient) -> None:
        server.will_answer(page("a", "b", more=True), page("c", more=True), page("d"))

        assert [job.id for job in close.bulk_deletes()] == ["a", "b", "c", "d"]
        assert [asked.params for asked in server.asked] == [
            {"_limit": "100", "_skip": "0"},
            {"_limit": "100", "_skip": "2"},
            {"_limit": "100", "_skip": "3"},
        ]

    def test_one_that_is_pushed_onto_the_next_page_is_counted_once(
        self, server: ScriptedClose, close: CloseClient
    ) -> None:
        server.will_answer(page("b", "c", more=True), page("c", "d"))

        assert [job.id for job in close.bulk_deletes()] == ["b", "c", "d"]

    @pytest.mark.parametrize(
        "second",
        [
            page("a", more=True),
            page(more=True),
            Answer({"data": [{"id": "b"}]}),
            Answer({"data": [{"id": "b"}], "has_more": "no"}),
            Answer({"data": [{"status": "done"}], "has_more": False}),
            Answer({"data": [{"id": "b", "n_leads": -1}], "has_more": False}),
            Answer({"data": None, "has_more": False}),
            Answer({}),
        ],
    )
    def test_a_list_that_cannot_be_read_to_its_end_is_an_error_and_not_a_short_list(
        self, server: ScriptedClose, close: CloseClient, second: Answer
    ) -> None:
        server.will_answer(page("a", more=True), second)

        with pytest.raises(CloseUnavailable, match="GET /bulk_action/delete/ can't be used"):
            close.bulk_deletes()

    def test_smart_views_are_those_of_leads(self, server: ScriptedClose, close: CloseClient) -> None:
        view = {"id": "save_1", "name": "All Leads", "s_query": {"query": {"type": "match_all"}}}
        server.will_answer(Answer({"data": [view], "has_more": False}))

        [listed] = close.smart_views()

        assert server.asked[0].params["type"] == "lead"
        assert listed.s_query == {"query": {"type": "match_all"}}

    def test_custom_fields_and_statuses_are_found_by_name(self, server: ScriptedClose, close: CloseClient) -> None:
        field = {"id": "cf_1", "name": "Source", "type": "choices", "choices": ["Web"], "is_shared": False}
        status = {"id": "stat_1", "label": "Junk", "organization_id": "orga_1"}
        server.will_answer(Answer({"data": [field], "has_more": False}), Answer({"data": [status]}))

        assert [(known.name, known.choices) for known in close.custom_fields("lead")] == [("Source", ["Web"])]
        assert [(known.label, known.id) for known in close.lead_statuses()] == [("Junk", "stat_1")]


class TestCounting:
    def test_a_count_reads_no_rows(self, server: ScriptedClose, close: CloseClient) -> None:
        server.will_answer(Answer({"data": [], "cursor": None, "count": {"limited": 0, "total": 1234}}))

        assert close.count(LEADS) == 1234
        assert server.asked[0].body == {"query": LEADS, "results_limit": 0, "include_counts": True}

    @pytest.mark.parametrize("count", [None, {}, {"total": None}, {"total": -1}, {"total": "7"}, {"total": True}, 7])
    def test_a_count_that_is_no_number_is_an_error_and_not_zero(
        self, server: ScriptedClose, close: CloseClient, count: Any
    ) -> None:
        server.will_answer(Answer({"data": [], "count": count}))

        with pytest.raises(CloseUnavailable, match="can't be used"):
            close.count(LEADS)

    def test_a_query_that_close_rejects_says_where(self, server: ScriptedClose, close: CloseClient) -> None:
        server.will_answer(Answer({"field-errors": {"query": {"type": "Not a valid choice."}}, "errors": []}, 400))

        with pytest.raises(InvalidQuery, match=r"query\.type: Not a valid choice\."):
            close.count({"type": "nonsense"})

    @settings(suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None, max_examples=60)
    @given(
        body=st.dictionaries(
            st.sampled_from(["data", "cursor", "count"]),
            st.none()
            | st.integers()
            | st.text(max_size=3)
            | st.lists(st.none() | st.dictionaries(st.just("id"), st.none() | st.text(max_size=2)), max_size=2)
            | st.dictionaries(st.just("total"), st.none() | st.integers() | st.floats(allow_nan=False)),
        )
    )
    def test_whatever_close_answers_it_is_a_count_or_an_error_of_ours(
        self, server: ScriptedClose, close: CloseClient, body: dict[str, Any]
    ) -> None:
        server.will_answer(Answer(body))
        try:
            total = close.count(LEADS)
        except CloseError:
            return
        assert total == body["count"]["total"] >= 0


class TestSearching:
    def test_pages_are_followed_by_cursor_up_to_the_limit(self, server: ScriptedClose, close: CloseClient) -> None:
        server.will_answer(found("a", "b", cursor="1"), found("c", "d", cursor="2"))

        rows = close.search(LEADS, fields=("name",), sort=[{"direction": "asc"}], limit=3)

        assert [row["id"] for row in rows] == ["a", "b", "c"]
        first, second = (asked.body for asked in server.asked)
        assert first == {
            "query": LEADS,
            "_fields": {"lead": ["id", "name"]},
            "_limit": 3,
            "results_limit": 3,
            "sort": [{"direction": "asc"}],
        }
        assert second == {**first, "cursor": "1"}  # a cursor belongs to the very same search

    def test_the_end_may_be_an_empty_page(self, server: ScriptedClose, close: CloseClient) -> None:
        server.will_answer(found("a", cursor="1"), found(cursor="2"), found())

        assert len(close.search(LEADS, limit=100)) == 1

    def test_a_row_that_comes_twice_is_one_row(self, server: ScriptedClose, close: CloseClient) -> None:
        server.will_answer(found("a", "b", cursor="1"), found("b", "c"))

        assert [row["id"] for row in close.search(LEADS, limit=100)] == ["a", "b", "c"]

    def test_an_expired_cursor_starts_again_from_the_beginning(self, server: ScriptedClose, close: CloseClient) -> None:
        server.will_answer(found("a", cursor="1"), EXPIRED, found("b", cursor="2"), found("c"))

        assert [row["id"] for row in close.search(LEADS, limit=100)] == ["b", "c"]
        assert "cursor" not in server.asked[2].body

    def test_more_than_was_asked_for_is_given_up_where_close_is_slow(
        self, server: ScriptedClose, close: CloseClient
    ) -> None:
        """All of a few leads are read, if the cursor lasts long enough; else as many as are needed."""
        first = Answer({"data": [{"id": "a"}], "cursor": "1", "count": {"total": 3}})
        server.will_answer(first, EXPIRED, first)

        total, rows = close.count_and_search(LEADS, limit=1, few=1000)

        assert (total, [row["id"] for row in rows]) == (3, ["a"])
        assert len(server.asked) == 3

    def test_but_not_for_ever(self, server: ScriptedClose, close: CloseClient) -> None:
        server.will_answer(*[found("a", cursor="1"), EXPIRED] * (1 + RESTARTS))

        with pytest.raises(CloseUnavailable, match="cursor expires before the next page"):
            close.search(LEADS, limit=100)

    def test_another_rejection_is_final(self, server: ScriptedClose, close: CloseClient) -> None:
        server.will_answer(Answer({"field-errors": {"_fields": "List is too long."}}, 400))

        with pytest.raises(BadRequest, match="List is too long"):
            close.search(LEADS, limit=100)

    @pytest.mark.parametrize(
        "pages",
        [
            [found("a", cursor="1"), found("b", cursor="1")],
            [found("a", cursor="1"), found("b", cursor="2"), found("c", cursor="1")],
            [found("a", cursor=str(number)) for number in range(9)],
            [found(cursor=str(number)) for number in range(9)],
        ],
        ids=["same cursor", "circle", "same rows", "empty pages"],
    )
    def test_pages_that_do_not_move_on_are_an_error(
        self, server: ScriptedClose, close: CloseClient, pages: list[Answer]
    ) -> None:
        server.will_answer(*pages)

        with pytest.raises(CloseUnavailable, match="pages don't end"):
            close.search(LEADS, limit=100)

    def test_a_page_that_does_not_say_whether_it_is_the_last_is_an_error(
        self, server: ScriptedClose, close: CloseClient
    ) -> None:
        server.will_answer(Answer({"data": [{"id": "a"}]}))

        with pytest.raises(CloseUnavailable, match="the cursor is missing"):
            close.search(LEADS, limit=100)

    def test_a_row_without_an_id_is_an_error(self, server: ScriptedClose, close: CloseClient) -> None:
        server.will_answer(Answer({"data": [{"name": "x"}], "cursor": None}))

        with pytest.raises(CloseUnavailable, match="a row has no id"):
            close.search(LEADS, limit=100)

    @pytest.mark.parametrize("limit", [0, -1, 10_001])
    def test_a_search_ends_at_ten_thousand(self, close: CloseClient, limit: int) -> None:
        with pytest.raises(ValueError, match="between 1 and 10000"):
            close.search(LEADS, limit=limit)


def test_a_strange_answer_is_not_repeated_in_the_error(server: ScriptedClose, close: CloseClient) -> None:
    """Not even in the traceback: it may name customers."""
    server.will_answer(Answer({"data": [{"id": "save_1", "name": ["Jane Doe"]}], "has_more": False}))

    with pytest.raises(CloseUnavailable, match=r"\(unexpected name\)") as caught:
        close.smart_views()

    assert "Jane" not in "".join(format_exception(caught.value))


class TestEvents:
    @pytest.mark.parametrize("rows", [[{"object_id": "lead_1", "date_updated": "2026-11-01T00:00:00"}], []])
    def test_a_log_without_an_end_is_no_usable_answer(
        self, server: ScriptedClose, close: CloseClient, rows: list[Any]
    ) -> None:
        """The cursor leads to the same page again, or to empty ones."""
        cursors = ["1"] * 9 if rows else [str(number) for number in range(9)]
        server.will_answer(*(Answer({"data": rows, "cursor_next": cursor}) for cursor in cursors))

        with pytest.raises(CloseUnavailable, match="its pages don't end"):
            list(close.lead_events("deleted", datetime(2026, 10, 1, tzinfo=UTC)))

        assert len(server.asked) <= 3


class TestTheOrganisation:
    STATUSES = Answer({"data": [{"id": "stat_1", "label": "Junk", "organization_id": "orga_1"}], "has_more": False})

    def test_it_is_read_off_what_the_key_can_see(self, server: ScriptedClose, close: CloseClient) -> None:
        """Not off a list of memberships: a user may be a member of several organisations."""
        server.will_answer(self.STATUSES)

        assert close.organization_id() == "orga_1"
        assert server.paths == ["GET /status/lead/"]

    def test_another_than_expected_is_an_error_that_names_both(
        self, server: ScriptedClose, connect: Callable[..., CloseClient]
    ) -> None:
        server.will_answer(self.STATUSES)

        with pytest.raises(WrongOrganization, match="belongs to orga_1, but CLOSE_ORGANIZATION_ID is orga_2"):
            connect(organization_id="orga_2").organization_id()

    @pytest.mark.parametrize("data", [[], [{"id": "stat_1", "label": "Junk"}]])
    def test_without_proof_there_is_no_organisation(
        self, server: ScriptedClose, close: CloseClient, data: list[Any]
    ) -> None:
        server.will_answer(Answer({"data": data}))

        with pytest.raises(CloseUnavailable, match="doesn't name one organisation"):
            close.organization_id()

    def test_me_and_the_organisation_tell_the_role(self, server: ScriptedClose, close: CloseClient) -> None:
        member = {"id": "memb_1", "user_id": "user_1", "organization_id": "orga_1", "role_id": "admin"}
        server.will_answer(
            Answer({"id": "user_1", "memberships": [member]}),
            Answer({"id": "orga_1", "name": "Acme", "memberships": [{**member, "permissions_granted": ["export"]}]}),
        )

        me = close.me()
        organization = close.organization("orga_1")

        assert organization.name == "Acme"
        assert me.memberships[0].role_id == organization.memberships[0].role_id == "admin"
        assert organization.memberships[0].permissions_granted == ["export"]
