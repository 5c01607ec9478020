import math

from trio_wsendpoint.http.deadlines import Deadlines
from trio_wsendpoint.http.phases import Phase
from trio_wsendpoint.http.settings import HttpLimits
from trio_wsendpoint.options import Timeouts


def deadlines(now=100.0, **options):
    return Deadlines(Timeouts(open=10), HttpLimits(**options), now)


def test_the_first_head_has_the_time_since_the_connection_came():
    clock = deadlines()
    assert clock.at == 110
    clock.enter(Phase.HEAD, 109)
    assert clock.at == 110


def test_an_idle_connection_and_the_next_head():
    clock = deadlines(idle=75)
    clock.enter(Phase.IDLE, 200)
    assert clock.at == 275
    clock.enter(Phase.HEAD, 270)
    assert clock.at == 280


def test_a_handler_has_its_time_until_its_answer_begins():
    clock = deadlines(handler=30)
    clock.enter(Phase.BODY, 200)
    assert clock.at == 230
    clock.enter(Phase.ANSWERING, 220)
    assert clock.at == 230
    for phase in (Phase.STREAMING, Phase.EARLY, Phase.UPGRADED, Phase.CLOSED):
        clock.enter(phase, 225)
        assert clock.at == math.inf
    clock.begin_answering(300)  # the next request has come whole
    assert clock.at == 330


def test_the_bodys_clock_runs_only_while_it_is_waited_for():
    clock = deadlines(body_rate=100)
    clock.enter(Phase.BODY, 200)
    assert clock.at == math.inf
    clock.wait_for_body(300)
    clock.wait_for_body(305)  # waits already
    assert clock.at == clock.body_at == 310
    clock.body_came(1, 308)
    clock.body_came(1, 308)
    assert clock.at == math.inf
    clock.wait_for_body(400)
    assert clock.at == 400 + 2 + 0.02
    clock.body_came(1000, 401)
    clock.wait_for_body(500)
    assert round(clock.at, 6) == 500 + 1 + 10.02


def test_a_body_has_its_time_in_all():
    clock = deadlines(body_time=20, body_rate=1)
    clock.enter(Phase.BODY, 0)
    clock.wait_for_body(0)
    clock.body_came(1_000_000, 5)
    clock.wait_for_body(5)
    assert clock.at == 20
    clock.enter(Phase.EARLY, 6)  # still waited for
    assert clock.at == 20
    clock.enter(Phase.STREAMING, 6)
    assert clock.at == math.inf


def test_the_next_body_begins_anew():
    clock = deadlines()
    clock.enter(Phase.BODY, 0)
    clock.wait_for_body(0)
    clock.body_came(1, 9)
    clock.enter(Phase.BODY, 50)
    clock.wait_for_body(50)
    assert clock.at == 60


def test_what_is_read_out():
    clock = deadlines()
    clock.enter(Phase.DRAINING, 200)
    assert clock.at == 205
    clock.enter(Phase.LINGERING, 210)
    assert clock.at == 212
    clock.linger_on(211)
    assert clock.at == 213
    clock.linger_on(214)
    assert clock.at == 215  # and no more
