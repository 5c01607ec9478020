"""What an application may expect of a server, row by row, and the test of each row.

The rows follow the specifications (asgi.rst 3.0, www.rst 2.5, lifespan.rst 2.0, tls.rst 0.2) and
what other servers were reported for.  A test fails if one that is named here is gone.
"""

from __future__ import annotations

import re
from pathlib import Path

import pytest

HERE = Path(__file__).parent

SCOPE = {
    "every key of a request, of the right type": "scopes::every_key_of_a_request",
    "every key of an opening": "scopes::every_key_of_an_opening",
    "path decoded, raw_path and query_string as they came": "scopes::paths",
    "root_path": "scopes::a_root_path_is_put_before_both_paths",
    "client, also of a Unix socket": "scopes::clients",
    "server": "scopes::servers",
    "scheme, client and headers behind a trusted proxy": "serving::the_scope_tells_of_a_trusted",
    "state: a copy for each request": "serving::startup_before_the_port_and_shutdown_after",
    "nothing is shared between scopes": "scopes::nothing_is_shared_between_scopes",
    "extension tls": "scopes::tls",
    "an application of ASGI 2, or of asyncio, is refused": "serving::wrong_arguments_are_refused",
}
HTTP = {
    "the body in events, also from chunks": "http_calls::the_body_arrives",
    "no body is one event": "http_calls::no_body_is_one_event",
    "100 at the first receive": "http_calls::a_100_leaves_with_the_first_receive",
    "no 100 without a receive": "http_calls::no_100_for_an_application_that_does_not_read",
    "back-pressure in": "http_calls::an_application_that_does_not_read_stops_the_client",
    "a body over the limit": "http_calls::a_body_over_the_limit_gets_413",
    "disconnect again and again": "http_calls::after_the_answer_every_receive_is_a_disconnect",
    "two tasks in receive": "http_calls::two_tasks_may_wait_and_both_are_told",
    "a poll in a cancelled scope": "http_calls::a_poll_in_a_cancelled_scope_sees_the_client_go",
    "the same over TCP and TLS": "serving::a_poll_sees_the_client_go",
    "a loop that never waits yields": "http_calls::a_loop_that_never_waits_yields",
    "a client that half-closes is answered": "http_calls::a_client_that_has_only_ended_its_bytes",
    "the start is held back": "http_calls::an_application_that_raises_after_its_start_gets_a_500",
    "wrong headers, no splitting": "events::no_header_splits_the_answer",
    "headers from any iterable, repeated": "events::headers_keep_their_order_and_repeat",
    "cookies apart": "http_calls::headers_leave_in_order_and_cookies_apart",
    "Connection: close": "http_calls::connection_close_of_the_application_is_honoured",
    "memoryviews": "events::bytes_of_each_kind",
    "an empty piece sends the head": "http_calls::an_empty_piece_sends_the_head",
    "back-pressure out": "http_calls::back_pressure_holds_the_application",
    "a client that takes nothing": "http_calls::a_client_that_takes_nothing_is_given_up",
    "more than Content-Length": "http_calls::more_than_was_declared_is_an_error_and_cuts",
    "less than Content-Length": "http_calls::less_than_was_declared_is_a_warning_and_cuts",
    "chunks for 1.1, none for 1.0": "http_calls::an_answer_in_pieces_is_chunked_for_1_1",
    "HEAD": "http_calls::head_ends_with_its_headers_and_keeps_its_length",
    "204 and 304": "http_course::an_answer_without_a_body_is_complete_with_its_head",
    "send after the end is ignored": "http_course::what_follows_the_end_is_ignored",
    "send after the client has gone": "http_calls::a_send_after_the_client_has_gone",
    "a wrong event changes nothing": "http_calls::a_wrong_event_changes_nothing",
    "raises, or returns, before anything": "http_calls::before_anything_has_left_it_is_a_500",
    "raises, or returns, after the start": "http_calls::an_answer_that_has_begun_is_cut_off",
    "the client goes: told, and cancelled later": "http_calls::the_client_goes_the_application_is",
    "background tasks": "http_calls::the_next_request_does_not_wait_for_what_follows",
    "too many calls": "http_calls::too_many_calls_are_answered_with_503",
    "never returns at a shutdown": "http_calls::an_answer_that_never_ends_is_cancelled_when",
    "background tasks at a shutdown": "http_calls::what_follows_an_answer_is_bounded_when",
    "a cancelled send": "http_calls::a_cancelled_send_has_sent_nothing",
    "trailers": "http_calls::trailers_follow_the_body",
    "trailers to those that ask": "http_calls::trailers_are_offered_and_sent_to_those_alone",
    "early hints": "http_calls::hints_leave_before_the_answer",
    "struck at every checkpoint": "cancellation::nothing_is_left_wherever_a_server_is_struck",
}
WEBSOCKET = {
    "connect before the 101; text, bytes, empty ones": "websocket_calls::messages_go_both_ways",
    "the client goes before the accept": "websocket_calls::the_client_goes_before_the_accept",
    "frames before the 101": "websocket_calls::bytes_ahead_of_the_101_are_kept",
    "never decides": "websocket_calls::an_application_that_never_decides",
    "accept with a subprotocol and cookies": "websocket_calls::accept_with_a_subprotocol",
    "a wrong accept": "websocket_course::accepts_that_make_no_101",
    "close before accept": "websocket_calls::close_before_accept_is_403",
    "a denial of the application": "websocket_calls::a_denial_of_the_applications_own",
    "no decision": "websocket_calls::an_application_without_a_decision_gives_500",
    "refused by the handshake": "websocket_calls::a_request_that_the_handshake_refuses",
    "back-pressure": "websocket_calls::back_pressure_stops_the_client",
    "a wrong message": "websocket_course::messages_that_are_none",
    "the client's codes": "websocket_calls::the_code_of_the_client_is_told",
    "the client's codes, FIN and RST over TCP": "close_codes::the_client_leaves",
    "the application raises, returns, closes": "close_codes::the_application_leaves",
    "the codes that may be sent": "websocket_calls::the_close_of_the_application",
    "codes that may not": "websocket_course::codes_that_may_not_be_sent",
    "send after the client's close": "websocket_calls::a_send_after_the_clients_close_raises",
    "an OSError of another kind": "websocket_calls::an_oserror_of_the_applications_own",
    "wrong order, close twice": "websocket_course::the_wrong_order",
    "several tasks": "websocket_calls::two_tasks_may_receive_and_several_send",
    "a cancelled receive": "websocket_calls::a_cancelled_receive_loses_nothing",
    "a shutdown": "close_codes::the_server_stops",
    "does not return": "websocket_calls::an_application_that_stays_does_not_hold_a_shutdown",
    "over TLS": "serving::a_websocket_over_tls",
}
LIFESPAN = {
    "startup before the port opens": "serving::startup_before_the_port_and_shutdown_after",
    "startup.failed": "serving::a_startup_that_fails_opens_no_port",
    "no lifespan": "lifespan::an_application_without_a_lifespan",
    "an error of the startup": "lifespan::an_error_of_the_startup_is_raised",
    "needs asyncio": "lifespan::an_application_for_asyncio_is_told_at_the_start",
    "never answers": "lifespan::a_startup_that_never_answers",
    "an error after the startup": "serving::an_error_behind_the_startup_ends_the_server",
    "shutdown.failed": "serving::a_shutdown_that_fails_raises",
    "wrong order": "lifespan::what_is_not_due",
    "the shutdown of a cancelled server": "serving::the_shutdown_runs_when_the_server_is",
    "a shutdown that never ends": "lifespan::a_shutdown_that_never_ends_is_cancelled",
}
ROWS = {**SCOPE, **HTTP, **WEBSOCKET, **LIFESPAN}


@pytest.mark.parametrize("row", ROWS)
def test_each_row_has_its_test(row: str) -> None:
    file, _, name = ROWS[row].partition("::")
    source = (HERE / f"test_{file}.py").read_text()
    assert re.search(rf"^(async )?def test_{name}\w*\(", source, re.MULTILINE), ROWS[row]
