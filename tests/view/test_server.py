"""Where the viewer listens."""

import pytest

from pigan.errors import PiganError
from pigan.view.server import listen


def test_listens_on_the_loopback_address_alone_and_says_when_a_port_is_taken() -> None:
    with listen(0) as listener:
        address, port = listener.getsockname()
        assert address == "127.0.0.1" and port > 0
        with pytest.raises(PiganError, match=f"--port {port}: "):
            listen(port)
