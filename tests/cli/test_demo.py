"""Tests of `aritma-auth demo`."""

import json

from aritma_auth import cli
from aritma_auth.cli import demo
from aritma_auth.cli.demo import Demonstration, Wave
from aritma_auth.protocol.redaction import Members


def test_the_demo_keeps_its_promise(capsys):
    """The demo shows one token request for all calls, and one refresh that no call waits for."""
    code = cli.run(["demo", "--calls", "50"])
    shown = capsys.readouterr().out

    assert code == 0
    assert "stand-in, not Aritma" in shown
    assert "As promised." in shown
    assert "client_id  sandbox-service" in shown
    assert "eyJ" not in shown
    assert "\x1b" not in shown


def test_the_measurements_are_an_object(capsys):
    """--json prints both waves, the number of refreshes and the claims."""
    assert cli.run(["demo", "--calls", "10", "--json"]) == 0
    told = json.loads(capsys.readouterr().out)

    assert [*told] == ["is_as_promised", "cold", "during_refresh", "refreshes", "claims"]
    assert told["is_as_promised"] is True
    for wave in ("cold", "during_refresh"):
        assert (told[wave]["calls"], told[wave]["served"]) == (10, 10)
    assert told["cold"]["token_requests"] == told["refreshes"] == 1


def test_a_broken_promise_is_an_error(monkeypatch, capsys):
    """A call that was not served makes the demo fail."""

    async def fail(calls):
        wave = Wave(calls, calls - 1, 1, 0.1)
        return Demonstration(wave, Members(), 60.0, wave, 1)

    monkeypatch.setattr(demo, "demonstrate", fail)

    assert cli.run(["demo"]) == 1
    assert "NOT as promised." in capsys.readouterr().out
