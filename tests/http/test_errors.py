import copy
import pickle

import pytest

from trio_wsendpoint.http import (
    BodyCutShort,
    BodyMismatch,
    BodyTooLarge,
    OutOfTime,
    Unauthorized,
    WrongOrder,
)

ERRORS = [
    (BodyTooLarge(10), 413, "a body of more than 10 bytes"),
    (BodyCutShort(2), 400, "the body ended after 2 bytes, before it was complete"),
    (OutOfTime(408, "too late"), 408, "too late"),
    (Unauthorized("no", "Basic"), 401, "no"),
    (BodyMismatch("a"), None, "a"),
    (WrongOrder("b"), None, "b"),
]


@pytest.mark.parametrize(("error", "status", "message"), ERRORS)
def test_they_survive_a_copy(error, status, message):
    for other in (error, pickle.loads(pickle.dumps(error)), copy.copy(error), copy.deepcopy(error)):
        assert type(other) is type(error)
        assert str(other) == message
        if status is not None:
            assert other.response == error.response
            assert other.response.status == status
        facts = ("limit", "size", "challenge")
        assert [getattr(other, fact, None) for fact in facts] == [
            getattr(error, fact, None) for fact in facts
        ]
