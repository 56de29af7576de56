"""The page served: what is typed there is read by the network.

    GET  /           the page
    POST /read       {session, text, shown}: what the network does with the text, from the first step that is not as in
                     `shown`, the text whose steps the page holds
    POST /influence  {session, text, step}: which of its symbols moved what was expected after a step

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

LARGEST = 200_000  # bytes of a question, which holds two texts


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
    """Serve the page until Ctrl-C. `data`, `item` and `steps` as in `inspect`: what the page begins with. `cell`
    and `trust_cell` too.

    Raises CarouselError where starlette and uvicorn are not installed, DataError where the address cannot be had, and
    for a run that nothing can be typed for.
    """
    try:
        import starlette  # noqa: F401 (asked for now, before any work)

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
    """The page of a reader as an ASGI application. hosts: the names it may be asked for by; None: any.

    With names, a page of another site whose name was made to lead here cannot ask.
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
    """The answer to a question in JSON, or what is wrong with it in words."""
    from starlette.concurrency import run_in_threadpool
    from starlette.requests import ClientDisconnect
    from starlette.responses import JSONResponse, Response

    # Other sites' pages can send a browser's form here without asking, but not JSON.
    if request.headers.get("content-type", "").partition(";")[0] != "application/json":
        return JSONResponse({"error": "Questions are asked in application/json."}, 415)
    try:
        question = json.loads(await _body(request))
        return JSONResponse(await run_in_threadpool(answer, question))
    except ClientDisconnect:  # a tab that was closed: nobody is there to be answered
        return Response(status_code=400)
    except DataError as problem:
        return JSONResponse({"error": str(problem)}, 400)
    except (ValueError, KeyError, TypeError, RecursionError):  # the last: JSON nested too deep
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
