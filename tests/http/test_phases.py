import pytest

from trio_wsendpoint.http import WrongOrder
from trio_wsendpoint.http.phases import TRANSITIONS, Course, Event, Phase


def test_every_phase_has_a_row_and_is_reached():
    assert set(TRANSITIONS) == set(Phase)
    reached = {following for row in TRANSITIONS.values() for following in row.values()}
    assert reached == set(Phase)
    assert {event for row in TRANSITIONS.values() for event in row} == set(Event)


def test_a_connection_can_always_be_closed():
    for phase, row in TRANSITIONS.items():
        if phase is not Phase.CLOSED and phase is not Phase.UPGRADED:
            assert row[Event.WE_CLOSE] is Phase.CLOSED


@pytest.mark.parametrize("phase", Phase)
@pytest.mark.parametrize("event", Event)
def test_the_table_is_followed(phase, event):
    course = Course()
    course.phase = phase
    following = TRANSITIONS[phase].get(event)
    if following is not None:
        assert course.move(event)
        assert course.phase is following
        return
    is_ours = event.value.startswith("we ") and event is not Event.WE_CLOSE
    if is_ours:
        with pytest.raises(WrongOrder, match=f"not while the exchange is {phase.value}"):
            course.move(event)
    else:
        assert not course.move(event)
    assert course.phase is phase


def test_what_the_phases_mean():
    answerable = {Phase.IDLE, Phase.HEAD, Phase.BODY, Phase.ANSWERING}
    expecting = {Phase.BODY, Phase.EARLY, Phase.DRAINING}
    for phase in Phase:
        course = Course()
        course.phase = phase
        assert course.is_answer_due == (phase in answerable)
        assert course.expects_body == (phase in expecting)
