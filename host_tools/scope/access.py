"""Who may speak to the scope: whoever has the token, from a page that the scope itself served.

Any web page that a browser shows may send requests to loopback, and a name may be pointed there: so
each request must carry the token in its path, name a host that is ours, and come from no other origin.
"""

from __future__ import annotations

import secrets
from collections.abc import Awaitable, Callable, MutableMapping
from typing import Any
from urllib.parse import urlsplit

Scope = MutableMapping[str, Any]
App = Callable[[Scope, Callable[[], Awaitable[Any]], Callable[[Any], Awaitable[None]]], Awaitable[None]]

HEADERS = (
    (
        b"content-security-policy",
        b"default-src 'self'; img-src 'self' blob: data:; style-src 'self' 'unsafe-inline'",
    ),
    (b"referrer-policy", b"no-referrer"),  # the token is in the address
    (b"x-content-type-options", b"nosniff"),
    (b"x-frame-options", b"DENY"),
    (b"cache-control", b"no-store"),
)


def new_token() -> str:
    """A token that cannot be guessed."""
    return secrets.token_urlsafe(18)


class Guard:
    """ASGI: passes on what may pass, with the token taken off the path; the rest gets 403."""

    def __init__(self, app: App, token: str, hosts: set[str]) -> None:
        """`hosts` are the names and addresses, without port, by which a browser may call the scope;
        empty: any, for a scope that listens beyond loopback."""
        self.app = app
        self.token = token.encode()
        self.hosts = hosts

    async def __call__(self, scope: Scope, receive: Any, send: Any) -> None:
        if scope["type"] not in ("http", "websocket"):
            await self.app(scope, receive, send)
            return
        reason = self.refusal(scope)
        if reason:
            await refuse(scope, receive, send, reason)
            return
        prefix = "/" + self.token.decode()
        inner = dict(scope)
        inner["root_path"] = scope.get("root_path", "") + prefix
        await self.app(inner, receive, with_headers(send))

    def refusal(self, scope: Scope) -> str:
        """Why a request may not pass; "" when it may."""
        headers = dict(scope["headers"])
        host = headers.get(b"host", b"").decode("latin-1")
        if self.hosts and urlsplit(f"//{host}").hostname not in self.hosts:
            return f"This scope is not called {host!r}."
        origin = headers.get(b"origin")
        if origin is not None:
            split = urlsplit(origin.decode("latin-1"))
            if split.scheme not in ("http", "https") or split.netloc != host:
                return "A page of another origin may not use this scope."
        given = scope["path"].split("/", 2)[1].encode()
        if not secrets.compare_digest(given, self.token):
            return "The token in the address is wrong: use the address that `eesm scope` printed."
        return ""


def with_headers(send: Any) -> Any:
    """A `send` that adds the headers every answer has."""

    async def sending(message: Any) -> None:
        if message["type"] == "http.response.start":
            message["headers"] = [*message.get("headers", []), *HEADERS]
        await send(message)

    return sending


async def refuse(scope: Scope, receive: Any, send: Any, reason: str) -> None:
    """Answer 403; a websocket is refused in its handshake."""
    if scope["type"] == "websocket":
        await receive()
        await send({"type": "websocket.close", "code": 1008, "reason": reason[:100]})  # before accept: 403
        return
    headers = [(b"content-type", b"text/plain; charset=utf-8"), *HEADERS]
    await send({"type": "http.response.start", "status": 403, "headers": headers})
    await send({"type": "http.response.body", "body": (reason + "\n").encode()})
