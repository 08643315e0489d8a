"""The server behind the page: bound to the loopback address, for as long as the command runs."""

import contextlib
import secrets
import socket
import threading
import warnings
import webbrowser

import uvicorn
from fastapi import FastAPI
from nicegui import ui

from pigan.errors import PiganError
from pigan.synthesis.trained import TrainedModel
from pigan.view.guard import Guard
from pigan.view.page import add_page
from pigan.view.renderer import Renderer
from pigan.view.session import Lanes

ADDRESS = "127.0.0.1"
# what is still open when the command ends is closed after so many seconds
GRACE_SECONDS = 1
# sent again when a connection was lost; pictures are large, and the next one replaces them
HISTORY = 50


def listen(port: int) -> socket.socket:
    """A socket on the loopback address; port 0 is a free one.

    Raises:
        PiganError: the port is taken, or may not be had.
    """
    listener = socket.socket(socket.AF_INET, socket.SOCK_STREAM)
    try:
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        listener.bind((ADDRESS, port))
        listener.listen()
    except OSError as error:
        listener.close()
        raise PiganError(f"--port {port}: {error.strerror}; name another one, or leave it out") from None
    return listener


def make_app(lanes: Lanes, name: str, token: str, port: int) -> Guard:
    """The page and what it needs, guarded; NiceGUI has one application a process."""
    app = FastAPI(openapi_url=None)
    add_page(lanes, name)
    ui.run_with(
        app,
        title="pigan view",
        dark=None,
        language="en-US",
        message_history_length=HISTORY,
        gzip_middleware_factory=None,
        tailwind=False,
        show_welcome_message=False,
    )
    return Guard(app, token, port)


def serve(model: TrainedModel, name: str, port: int, open_browser: bool) -> None:
    """Shows the page of the model called `name` until Ctrl+C; prints its address, and opens it.

    Raises:
        PiganError: the port cannot be had.
    """
    with listen(port) as listener, contextlib.closing(Lanes(Renderer(model))) as lanes:
        # NiceGUI looks at all objects there are, and PyTorch has one that does not like it
        warnings.filterwarnings("ignore", "`torch.distributed.reduce_op`", FutureWarning)
        token, own_port = secrets.token_urlsafe(32), listener.getsockname()[1]
        app = make_app(lanes, name, token, own_port)
        config = uvicorn.Config(
            app,
            log_level="warning",
            access_log=False,
            proxy_headers=False,
            server_header=False,
            timeout_graceful_shutdown=GRACE_SECONDS,
        )
        page = f"http://{ADDRESS}:{own_port}/?token="
        print(f"{page}{token}\nshows {name}, on this machine only; Ctrl+C ends it", flush=True)
        if open_browser:
            # a browser in the terminal would not return
            threading.Thread(target=webbrowser.open, args=(page + app.ticket(),), daemon=True).start()
        with contextlib.suppress(KeyboardInterrupt):
            uvicorn.Server(config).run([listener])
