"""Requests that nobody should answer, to a real server over raw sockets: all are refused, none
reaches the model, and good ones are answered as ever."""

import json

import pytest

from serving.store.store import Store
from tests.helpers.hostile_requests import GOOD, bad_requests
from tests.helpers.raw_http import Answer, Client, message
from tests.helpers.serving_fixtures import digits_release, server


@pytest.fixture(scope="module")
def port(tmp_path_factory):
    directory = tmp_path_factory.mktemp("hostile")
    Store(directory / "out/serving").publish("digits", digits_release(directory / "source"))
    with server(directory / "out", "--threads", "1", "--max-body-mb", "1") as (base, process, _):
        yield int(base.rpartition(":")[2])
        assert process.poll() is None


def ask(port: int, data: bytes) -> Answer:
    with Client(port) as client:
        client.send(data)
        answer = client.answer()
    assert answer is not None
    return answer


def executions(port: int) -> int:
    answer = ask(port, message("/v2/models/digits/stats"))
    return json.loads(answer.body)["model_stats"][0]["execution_count"]


def answers_to(port: int, data: bytes) -> list[Answer]:
    """All answers until the server ends the connection, after we have ended our side."""
    with Client(port) as client:
        client.send(data)
        client.end()
        return list(iter(client.answer, None))


def parts(answers: list[Answer], count: int) -> tuple[list[bytes], list[Answer], list[bytes]]:
    """The first `count` bodies, the answer behind them if there is one, the bodies of the rest."""
    bodies = [answer.body for answer in answers]
    return bodies[:count], answers[count : count + 1], bodies[count + 1 :]


@pytest.mark.parametrize(
    ("seed", "count"), [(0, 300), pytest.param(1, 5000, marks=pytest.mark.full)]
)
def test_bad_requests_are_refused_with_a_reason_and_never_computed(port, seed, count):
    good = ask(port, GOOD)
    assert good.status == 200
    computed = executions(port)
    for bad in bad_requests(seed, count):
        answers = answers_to(port, bad.data)
        before, refusals, after = parts(answers, bad.before)
        assert before == [good.body] * bad.before, bad.name
        (refusal,) = refusals or [None]
        assert refusal and refusal.status in bad.statuses, (bad.name, refusal)
        assert len(refusal.error) > 10, (bad.name, refusal)
        # What follows it is answered too, unless nobody can say where it begins.
        assert after == [good.body] * (0 if refusal.closes else bad.after), (bad.name, refusal)
        computed += len(answers) - 1
    assert executions(port) == computed
    assert ask(port, GOOD).body == good.body
