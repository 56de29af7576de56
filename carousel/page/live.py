"""Serves the page, so that a network reads what a user types there.

    GET  /           the page
    POST /read       {session, text, shown}: what the network does with the text, from the first step that differs from
                     `shown`, the text whose steps the page has
    POST /influence  {session, text, step}: the influence of each symbol on the prediction after a step

A session is one open page.
"""

from __future__ import annotations

import json
import socket
import threading
from collections.abc import Callable
from ipaddress import ip_address
from typing import TYPE_CHECKING, Any

from carousel.errors import CarouselError, DataError
from carousel.page.document import document
from carousel.page.inspecting import STEPS, names_of
from carousel.page.readers import Reader, reader_for
from carousel.training.terminal import write_line

if TYPE_CHECKING:
    from starlette.applications import Starlette
    from starlette.requests import Request
    from starlette.responses import Response

LARGEST = 200_000  # bytes of a request, which contains two texts


def serve(
    run: Any,
    data: Any = None,
    *,
    item: str | int | None = None,
    steps: int = STEPS,
    host: str = "127.0.0.1",
    port: int = 8765,
    report: Callable[[str], None] = write_line,
    cell: Any = None,
    trust_cell: bool = False,
) -> None:
    """Serves the page until Ctrl-C. run, data, item, steps, cell and trust_cell: as in `inspect`; data is the first
    text.

    Raises CarouselError if starlette and uvicorn are not installed; DataError if the address is not available, and for
    a run whose model cannot read typed text.
    """
    try:
        import starlette  # noqa: F401 (an error for a missing package comes before any work)

        from carousel.page.connections import server_of
    except ImportError:
        raise CarouselError(
            "The live page is served with starlette and uvicorn, which are not installed: "
            "pip install 'carousel-rnn[page]'. Without --live, the page is a file and needs neither."
        ) from None
    reader = reader_for(run, cell=cell, trust_cell=trust_cell)
    reader.typing()
    with _listen(host, port) as listening:
        app = application(reader, data, item=item, steps=steps, hosts=_hosts(host), report=report)
        port = listening.getsockname()[1]
        name = f"[{host}]" if ":" in host else host
        report(f"Open http://{name}:{port}/ in a browser. Ctrl-C ends it.")
        server_of(app).run(sockets=[listening])


def application(
    reader: Reader,
    data: Any = None,
    *,
    item: str | int | None = None,
    steps: int = STEPS,
    hosts: list[str] | None = None,
    report: Callable[[str], None] = lambda _: None,
) -> Starlette:
    """The page of a reader as an ASGI application. hosts: the host names that requests may have; None: any.

    Names protect from pages of other sites whose host name is made to resolve to this server (DNS rebinding).
    """
    from starlette.applications import Starlette
    from starlette.middleware import Middleware
    from starlette.middleware.trustedhost import TrustedHostMiddleware
    from starlette.responses import HTMLResponse
    from starlette.routing import Route

    typing, one_at_a_time = reader.typing(), threading.Lock()
    chosen = reader.choose(data, item=item, steps=min(steps, typing.longest))
    (name,) = names_of([reader])
    moments, _ = reader.examine(name, chosen, report)
    page = document([moments], live=chosen.text)

    async def home(_request: Request) -> Response:
        return HTMLResponse(page, headers={"X-Content-Type-Options": "nosniff"})

    async def read(request: Request) -> Response:
        def answer(q: dict[str, Any]) -> dict[str, Any]:
            with one_at_a_time:
                return typing.read(str(q["session"]), str(q["text"]), str(q["shown"]))

        return await _answer(request, answer)

    async def influence(request: Request) -> Response:
        def answer(q: dict[str, Any]) -> dict[str, Any]:
            with one_at_a_time:
                return typing.influence(str(q["session"]), str(q["text"]), int(q["step"]))

        return await _answer(request, answer)

    return Starlette(
        routes=[
            Route("/", home),
            Route("/read", read, methods=["POST"]),
            Route("/influence", influence, methods=["POST"]),
        ],
        middleware=[Middleware(TrustedHostMiddleware, allowed_hosts=hosts or ["*"])],
    )


async def _answer(request: Request, answer: Callable[[dict[str, Any]], dict[str, Any]]) -> Response:
    """The answer to a request in JSON, or a text that says what is wrong with it."""
    from starlette.concurrency import run_in_threadpool
    from starlette.requests import ClientDisconnect
    from starlette.responses import JSONResponse, Response

    # Pages of other sites can send a form here without permission, but not JSON.
    if request.headers.get("content-type", "").partition(";")[0] != "application/json":
        return JSONResponse({"error": "Questions are asked in application/json."}, 415)
    try:
        question = json.loads(await _body(request))
        return JSONResponse(await run_in_threadpool(answer, question))
    except ClientDisconnect:  # the tab was closed, so nobody waits for the answer
        return Response(status_code=400)
    except DataError as problem:
        return JSONResponse({"error": str(problem)}, 400)
    except (ValueError, KeyError, TypeError, RecursionError):  # RecursionError: the JSON is nested too deep
        return JSONResponse({"error": "The question is not as this page asks it: reload the page."}, 400)


async def _body(request: Request) -> bytes:
    body = b""
    async for chunk in request.stream():
        body += chunk
        if len(body) > LARGEST:
            raise DataError(f"The page reads {LARGEST // 2:,} bytes at most: shorten the text.")
    return body


def _hosts(host: str) -> list[str] | None:
    try:
        local = host == "localhost" or ip_address(host).is_loopback
    except ValueError:
        local = False
    return ["localhost", "127.0.0.1", "[::1]", host] if local else None


def _listen(host: str, port: int) -> socket.socket:
    try:
        family = socket.AF_INET6 if ":" in host else socket.AF_INET
        return socket.create_server((host, port), family=family)
    except (OSError, OverflowError) as problem:
        reason = getattr(problem, "strerror", None) or problem
        raise DataError(f"The page cannot be served at {host}, port {port}: {reason}. Try another --port.") from None
