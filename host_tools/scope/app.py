"""The web side: the page's files, one websocket a page, stop on a way of its own, files to save."""

from __future__ import annotations

import asyncio
import contextlib
import json
from collections.abc import AsyncIterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import FileResponse, JSONResponse, Response
from starlette.routing import Mount, Route, WebSocketRoute
from starlette.staticfiles import StaticFiles
from starlette.websockets import WebSocket, WebSocketDisconnect

from host_tools import log
from host_tools.errors import ToolError
from host_tools.link_errors import AnswerTimeout
from host_tools.scope import export
from host_tools.scope.access import Guard
from host_tools.scope.desk import Desk
from host_tools.scope.hub import Hub, Page
from host_tools.scope.keeper import Keeper
from host_tools.scope.packages import PAGE

LEFT = 5.0  # s after which the page in control counts as gone
TYPES = {"parquet": "application/vnd.apache.parquet", "csv": "text/csv"}


class Web:
    """The routes of one scope."""

    def __init__(self, keeper: Keeper, hub: Hub, library: Path) -> None:
        self.keeper = keeper
        self.hub = hub
        self.desk = Desk(keeper, hub)
        self.library = library
        # Stop never waits for a thread that is busy with something else.
        self._stoppers = ThreadPoolExecutor(4, thread_name_prefix="stop")
        self._workers = ThreadPoolExecutor(16, thread_name_prefix="command")
        self._about: dict[str, Any] = {}

    def app(self, token: str, hosts: set[str]) -> Guard:
        """The ASGI application, behind its guard."""
        routes = [
            Route("/", lambda request: FileResponse(PAGE / "index.html")),
            Route("/stop", self.stop, methods=["POST"]),
            Route("/save/{kind}", self.save, methods=["POST"]),
            WebSocketRoute("/live", self.live),
            Mount("/uplot", StaticFiles(directory=self.library)),
            Mount("/page", StaticFiles(directory=PAGE)),
        ]
        return Guard(Starlette(routes=routes, lifespan=self._lifespan), token, hosts)

    @contextlib.asynccontextmanager
    async def _lifespan(self, app: Starlette) -> AsyncIterator[None]:
        self.hub.loop = asyncio.get_running_loop()
        yield
        self.hub.loop = None

    async def _in(self, pool: ThreadPoolExecutor, call: Any, *arguments: Any) -> Any:
        return await asyncio.get_running_loop().run_in_executor(pool, call, *arguments)

    # --- stop -----------------------------------------------------------------------------------------

    async def stop(self, request: Request) -> Response:
        """The stop button: a connection of its own, from every page."""
        try:
            await self._stop()
        except ToolError as error:
            return JSONResponse(_told(error), 503)
        return JSONResponse({"ok": True})

    async def _stop(self) -> None:
        """Sent from here, where the request arrives: on a busy computer each thread to be woken takes ms."""
        drive = self.keeper.drive
        answer = Answer()
        if not drive.post_stop(answer):
            await self._in(self._stoppers, self.desk.stop)
            return
        try:
            said = await asyncio.wait_for(answer.future, drive.connection.timeout)
        except TimeoutError:
            raise AnswerTimeout("The drive did not answer 'stop'; it may have been obeyed or not.") from None
        if isinstance(said, ToolError):
            raise said

    # --- pages ----------------------------------------------------------------------------------------

    async def live(self, socket: WebSocket) -> None:
        """One page: words and rows out, requests in."""
        await socket.accept()
        page = Page(socket.query_params.get("page", "")[:64] or "nameless")
        self.hub.pages.add(page)
        for telling in self.keeper.greet():
            page.say(json.dumps(telling))
        sending = asyncio.create_task(_send(socket, page))
        try:
            while True:
                text = await socket.receive_text()
                # Each in a task of its own: nothing waits behind a capture.
                task = asyncio.create_task(self._answer(page, text))
                page.tasks.add(task)
                task.add_done_callback(page.tasks.discard)
        except (WebSocketDisconnect, RuntimeError, KeyError):
            pass
        finally:
            sending.cancel()
            self.hub.pages.discard(page)
            self._rewant()
            if self.desk.control.holder == page.name:
                asyncio.get_running_loop().call_later(LEFT, self._forget, page.name)

    def _forget(self, name: str) -> None:
        if all(page.name != name for page in self.hub.pages):
            self._workers.submit(self.desk.forget, name)

    async def _answer(self, page: Page, text: str) -> None:
        number = None
        try:
            asked = json.loads(text)
            number, what = asked["id"], str(asked["do"])
            if what == "want":
                self._want(page, tuple(str(name) for name in asked["names"]))
                answer: dict[str, Any] = {}
            elif what == "stop":
                await self._stop()
                answer = {}
            else:
                answer = await self._in(self._workers, self.desk.obey, page.name, what, asked)
            page.say(json.dumps({"id": number, "ok": True, **answer}))
        except ToolError as error:
            page.say(json.dumps({"id": number, "ok": False, **_told(error)}))
        except (ValueError, KeyError, TypeError) as error:
            page.say(
                json.dumps({"id": number, "ok": False, "text": f"Not understood: {error!r}.", "hint": ""})
            )

    def _want(self, page: Page, names: tuple[str, ...]) -> None:
        signals = self.keeper.drive.schema
        for name in names:
            signals.find(name)
        others = {name for other in self.hub.pages if other is not page for name in other.wants}
        self.desk.want(others | set(names))
        page.wants = names

    def _rewant(self) -> None:
        """A page has gone; nobody may want its signals any more."""
        self.desk.want({name for page in self.hub.pages for name in page.wants})

    # --- files ----------------------------------------------------------------------------------------

    async def save(self, request: Request) -> Response:
        """What a page shows, as Parquet or CSV."""
        body = b""
        async for piece in request.stream():
            body += piece
            if len(body) > export.LONGEST:
                return JSONResponse({"text": "That is too much for one file.", "hint": "zoom in"}, 413)
        try:
            kind = request.path_params["kind"]
            content = await self._in(self._workers, self._saved, body, kind)
        except ToolError as error:
            return JSONResponse(_told(error), 400)
        return Response(content, media_type=TYPES[kind])

    def _saved(self, body: bytes, kind: str) -> bytes:
        try:
            self._about = log.describe(self.keeper.drive)
        except ToolError:
            # The drive is gone: what is known of it from before has to do.
            if not self._about:
                raise
        return export.write(export.read_body(body, self._about, self.keeper.catalogue), kind)


class Answer:
    """Takes an answer in the reader's thread, gives it to the event loop that it was made in."""

    def __init__(self) -> None:
        self._loop = asyncio.get_running_loop()
        self.future: asyncio.Future[Any] = self._loop.create_future()

    def put(self, item: Any, /) -> None:
        with contextlib.suppress(RuntimeError):  # the loop has ended: nobody waits
            self._loop.call_soon_threadsafe(self._settle, item)

    def _settle(self, item: Any) -> None:
        if not self.future.done():
            self.future.set_result(item)


async def _send(socket: WebSocket, page: Page) -> None:
    with contextlib.suppress(WebSocketDisconnect, RuntimeError):
        while True:
            message = await page.next()
            if isinstance(message, str):
                await socket.send_text(message)
            else:
                await socket.send_bytes(message)


def _told(error: ToolError) -> dict[str, str]:
    return {"text": error.message, "hint": error.hint}
