"""`pigan view`: what cannot be is one line, before anything is loaded."""

import sys

import pytest
from typer.testing import CliRunner

from pigan.cli import app
from pigan.errors import PiganError
from pigan.view.server import listen


def test_a_model_that_is_not_there_is_said() -> None:
    result = CliRunner().invoke(app, ["view", "--model", "nothing", "--no-open"])
    assert isinstance(result.exception, PiganError) and str(result.exception).startswith("nothing: no model;")


def test_without_its_package_the_viewer_says_what_to_install(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in [name for name in sys.modules if name.startswith("pigan.view")]:
        monkeypatch.delitem(sys.modules, name)
    monkeypatch.setitem(sys.modules, "nicegui", None)
    result = CliRunner().invoke(app, ["view", "--model", "baseline", "--no-open"])
    assert isinstance(result.exception, PiganError)
    assert str(result.exception) == "the viewer needs nicegui: pip install 'pigan[view]'"


@pytest.mark.parametrize("port", ["-1", "65536", "http"])
def test_what_is_no_port_is_wrong_usage(port: str) -> None:
    assert CliRunner().invoke(app, ["view", "--model", "baseline", "--port", port]).exit_code == 2


def test_the_socket_is_this_machines_and_a_taken_port_is_said() -> None:
    with listen(0) as listener:
        address, port = listener.getsockname()
        assert address == "127.0.0.1"
        with pytest.raises(PiganError, match=rf"--port {port}: .*; name another one, or leave it out"):
            listen(port)
