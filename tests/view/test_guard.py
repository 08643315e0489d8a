"""Without the token, under another name or from another site there is nothing but 403."""

import asyncio
from typing import Any

import httpx
import pytest
from starlette.responses import PlainTextResponse

from pigan.view.guard import Guard

TOKEN, PORT = "s3cret-token", 8123
HOME = f"http://127.0.0.1:{PORT}"
COOKIE = {"cookie": f"pigan_view_{PORT}={TOKEN}"}


async def page(scope: Any, receive: Any, send: Any) -> None:
    """What is guarded; as generous as NiceGUI's sockets are."""
    if scope["type"] == "websocket":
        await receive()
        await send({"type": "websocket.accept"})
        return
    await PlainTextResponse("inside", headers={"access-control-allow-origin": "*"})(scope, receive, send)


GUARD = Guard(page, TOKEN, PORT)


def ask(path: str = "/", method: str = "GET", **headers: str) -> httpx.Response:
    async def go() -> httpx.Response:
        async with httpx.AsyncClient(transport=httpx.ASGITransport(GUARD), base_url=HOME) as client:
            return await client.request(method, path, headers=headers)

    return asyncio.run(go())


def connect(**headers: str) -> list[str]:
    """What a websocket is answered."""
    sent: list[str] = []

    async def receive() -> dict[str, str]:
        return {"type": "websocket.connect"}

    async def send(message: Any) -> None:
        sent.append(message["type"])

    raw = [(name.encode(), value.encode()) for name, value in {"host": f"127.0.0.1:{PORT}", **headers}.items()]
    scope = {"type": "websocket", "path": "/_nicegui_ws/", "query_string": b"", "headers": raw}
    asyncio.run(GUARD(scope, receive, send))
    return sent


def test_the_token_becomes_a_cookie_and_leaves_the_address() -> None:
    welcome = ask(f"/?token={TOKEN}")
    assert welcome.status_code == 200 and "inside" not in welcome.text and TOKEN not in welcome.text
    cookie = welcome.headers["set-cookie"]
    assert f"pigan_view_{PORT}={TOKEN}" in cookie and "HttpOnly" in cookie and "SameSite=strict" in cookie
    assert welcome.headers["referrer-policy"] == "no-referrer" and welcome.headers["cache-control"] == "no-store"
    inside = ask("/", cookie=cookie.split(";")[0])
    assert inside.status_code == 200 and inside.text == "inside"


def test_a_ticket_opens_the_page_once() -> None:
    ticket, other = GUARD.ticket(), GUARD.ticket()
    # elsewhere it is not used up
    assert ask(f"/anything?token={ticket}").status_code == 403
    assert ask(f"/?token={ticket}", host="evil.example").status_code == 403
    welcome = ask(f"/?token={ticket}")
    cookie = welcome.headers["set-cookie"].split(";")[0]
    assert welcome.status_code == 200 and ask("/", cookie=cookie).text == "inside"
    assert ask(f"/?token={ticket}").status_code == 403
    assert ask("/", cookie=f"pigan_view_{PORT}={other}").status_code == 403
    assert ask(f"/?token={other}").status_code == 200


@pytest.mark.parametrize("method", ["GET", "POST", "OPTIONS"])
@pytest.mark.parametrize(
    ("path", "headers"),
    [
        ("/", {}),
        ("/?token=", {}),
        ("/?token=wrong", {}),
        ("/?token=w%C3%B6rter", {}),
        (f"/anything?token={TOKEN}", {}),
        ("/_nicegui/static/nicegui.js", {}),
        ("/", {"cookie": f"pigan_view_{PORT}=wrong"}),
        ("/", {"cookie": f"pigan_view_1={TOKEN}"}),
        ("/", {"cookie": '=;;="a'}),
        ("/", {**COOKIE, "host": "evil.example"}),
        ("/", {**COOKIE, "host": f"evil.example:{PORT}"}),
        ("/", {**COOKIE, "host": "127.0.0.1"}),
        ("/", {**COOKIE, "host": f"127.0.0.1:{PORT + 1}"}),
        (f"/?token={TOKEN}", {"host": "evil.example"}),
        ("/", {**COOKIE, "origin": "http://evil.example"}),
        ("/", {**COOKIE, "origin": "null"}),
        ("/", {**COOKIE, "origin": f"http://127.0.0.1:{PORT + 1}"}),
    ],
)
def test_strangers_are_refused(path: str, headers: dict[str, str], method: str) -> None:
    answer = ask(path, method, **headers)
    assert answer.status_code == 403 and "inside" not in answer.text
    assert "set-cookie" not in answer.headers and "access-control-allow-origin" not in answer.headers


def test_no_other_site_may_read_frame_or_feed_the_page() -> None:
    answer = ask("/", **COOKIE, origin=HOME)
    assert answer.text == "inside"
    assert not [name for name in answer.headers if name.startswith("access-control")]
    policy = answer.headers["content-security-policy"]
    assert "default-src 'none'" in policy and "frame-ancestors 'none'" in policy and "http:" not in policy
    assert f"connect-src 'self' ws://127.0.0.1:{PORT};" in policy


def test_sockets_need_the_cookie_too() -> None:
    assert connect(**COOKIE) == ["websocket.accept"]
    assert connect(**COOKIE, origin=HOME) == ["websocket.accept"]
    for headers in ({}, {"cookie": "x=y"}, {**COOKIE, "origin": "http://evil.example"}, {**COOKIE, "host": "evil"}):
        # closed before it was accepted: the server answers 403
        assert connect(**headers) == ["websocket.close"]
