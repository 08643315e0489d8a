"""Who may talk to the viewer: only a browser of this machine that was given the token."""

import hmac
import secrets
from collections.abc import MutableMapping
from http.cookies import CookieError, SimpleCookie
from typing import Any
from urllib.parse import parse_qs

from starlette.datastructures import Headers, MutableHeaders
from starlette.responses import HTMLResponse, PlainTextResponse
from starlette.types import ASGIApp, Receive, Scope, Send

# scripts and styles of the page come from the server itself; NiceGUI evaluates handlers that are sent as text
POLICY = (
    "default-src 'none'; script-src 'self' 'unsafe-inline' 'unsafe-eval'; style-src 'self' 'unsafe-inline'; "
    "img-src 'self' data: blob:; font-src 'self'; connect-src 'self' ws://{host}; base-uri 'none'; form-action 'none'; "
    "frame-ancestors 'none'"
)
HEADERS = {
    "x-frame-options": "DENY",
    "x-content-type-options": "nosniff",
    "referrer-policy": "no-referrer",
    "cross-origin-resource-policy": "same-origin",
    "cross-origin-opener-policy": "same-origin",
}
REFUSAL = "Open the address that `pigan view` printed.\n"
# a redirect would count as coming from the site with the link, and such a request has no strict cookie
WELCOME = '<!doctype html><title>pigan</title><meta http-equiv="refresh" content="0; url=/"><a href="/">Viewer</a>'


class Guard:
    """Answers 403 to every request that lacks the token or comes by another name or from another site.

    The token arrives once in the query of `/`, goes into a cookie that scripts and other sites have no use of, and
    leaves the address. Names of this machine are fixed, so that no other site's name can be pointed at it. A ticket
    in the place of the token is taken once, so that who reads it on a browser's command line comes too late.
    """

    def __init__(self, app: ASGIApp, token: str, port: int) -> None:
        self.app, self.token = app, token
        self.hosts = (f"127.0.0.1:{port}", f"localhost:{port}")
        # cookies of one host are seen on all its ports
        self.cookie = f"pigan_view_{port}"
        self.tickets: set[str] = set()

    def ticket(self) -> str:
        """What opens the page once."""
        ticket = secrets.token_urlsafe(32)
        self.tickets.add(ticket)
        return ticket

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Passes on, welcomes or refuses."""
        if scope["type"] == "lifespan":
            await self.app(scope, receive, send)
            return
        headers = Headers(scope=scope)
        host = headers.get("host", "")
        origin = headers.get("origin")
        at_home = host in self.hosts and origin in (None, f"http://{host}")
        if at_home and self._known(_cookie(headers, self.cookie)):
            await self.app(scope, receive, _with_headers(send, host))
        elif at_home and scope["type"] == "http" and scope["path"] == "/" and self._invited(_asked(scope)):
            welcome = HTMLResponse(WELCOME, headers={"cache-control": "no-store"})
            welcome.set_cookie(self.cookie, self.token, httponly=True, samesite="strict", path="/")
            await welcome(scope, receive, _with_headers(send, host))
        elif scope["type"] == "websocket":
            # before it is accepted the server makes a 403 of it
            await receive()
            await send({"type": "websocket.close", "code": 1008})
        else:
            await PlainTextResponse(REFUSAL, 403)(scope, receive, _with_headers(send, self.hosts[0]))

    def _invited(self, given: str) -> bool:
        if given in self.tickets:
            self.tickets.remove(given)
            return True
        return self._known(given)

    def _known(self, given: str) -> bool:
        return hmac.compare_digest(given.encode(), self.token.encode())


def _asked(scope: Scope) -> str:
    """The token in the query."""
    return parse_qs(scope["query_string"].decode("latin-1")).get("token", [""])[0]


def _cookie(headers: Headers, name: str) -> str:
    try:
        found = SimpleCookie(headers.get("cookie", "")).get(name)
    except CookieError:
        return ""
    return found.value if found else ""


def _with_headers(send: Send, host: str) -> Send:
    async def sending(message: MutableMapping[str, Any]) -> None:
        if message["type"] == "http.response.start":
            headers = MutableHeaders(scope=message)
            for name in [name for name in headers if name.startswith("access-control-")]:
                del headers[name]
            headers.update({**HEADERS, "content-security-policy": POLICY.format(host=host)})
        await send(message)

    return sending
