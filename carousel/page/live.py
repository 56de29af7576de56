"""The page served: what is typed there is read by the network, which goes on from the state it was in.

    GET  /           the page
    POST /read       {session, text}: what the network does with the text, from the first step that is not as before
    POST /influence  {session, text, step}: which of its symbols moved the prediction after a step

A session is one open page. Its states after every step are kept, so that a further character costs one step.
"""

from __future__ import annotations

import json
import socket
import threading
from collections import OrderedDict
from collections.abc import Callable
from dataclasses import dataclass, field
from ipaddress import ip_address
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from torch import Tensor

from carousel.errors import CarouselError, DataError
from carousel.page import analysis
from carousel.page.document import document
from carousel.page.inspecting import STEPS, examine, load
from carousel.page.moments import Steps
from carousel.page.packing import plain, steps_record
from carousel.page.passage import passage_for
from carousel.page.reading import pieces_of, read_steps
from carousel.tasks.language import LanguageModel

if TYPE_CHECKING:
    from starlette.applications import Starlette
    from starlette.requests import Request
    from starlette.responses import Response

SESSIONS = 16  # open pages whose states are kept; the one longest unused is forgotten first
LONGEST = 4000  # symbols of a text that is typed
LARGEST = 100_000  # bytes of a question


@dataclass
class Session:
    """What one page has typed, and the states after each of its steps, (T, L, H) each."""

    ids: np.ndarray = field(default_factory=lambda: np.zeros(0, np.int64))
    after: tuple[Tensor, ...] = ()


class Reader:
    """A model that reads for several pages, one request at a time."""

    def __init__(self, model: LanguageModel) -> None:
        self.model = model
        self._sessions: OrderedDict[str, Session] = OrderedDict()
        self._lock = threading.Lock()

    def read(self, name: str, text: str) -> dict[str, Any]:
        """How many of the earlier steps stand, and the steps after them, as the page's script reads them.

        Raises DataError for a text that is empty or too long.
        """
        with self._lock:
            _, kept, steps = self._read_on(name, text)
        return {"kept": kept, "steps": steps_record(steps, bits=16)}

    def influence(self, name: str, text: str, step: int) -> dict[str, Any]:
        """What moved the prediction after a step: the shares of that symbol, the one before it, and so on.

        Raises DataError for a step that there is not, and as `read` does.
        """
        with self._lock:
            session, _, _ = self._read_on(name, text)
            if not 0 <= step < len(session.ids):
                raise DataError(f"There is no step {step} in the {len(session.ids)} that were read.")
            found = analysis.influence_at_end(self.model.network, session.ids[: step + 1], session.after)
        return {"shares": plain(found.share()[0].flip(0).numpy())}

    def _read_on(self, name: str, text: str) -> tuple[Session, int, Steps]:
        """The session when it has read this text, how many of its earlier steps stand, and the steps after them."""
        ids, pieces, starts = pieces_of(self.model.vocabulary, text)
        if not 1 <= len(ids) <= LONGEST:
            raise DataError(
                "Type something for the network to read."
                if len(ids) == 0
                else f"The page reads {LONGEST:,} symbols at most, and this text has {len(ids):,}: shorten it."
            )
        session = self._session(name)
        shared = min(len(ids), len(session.ids))
        different = np.flatnonzero(ids[:shared] != session.ids[:shared])
        same = int(different[0]) if len(different) else shared
        # The last step that stays is read again: what comes after it is new, and so is how far it was foreseen.
        kept = max(0, same - 1)
        before = tuple(values[kept - 1][:, None] for values in session.after) if kept else None
        network, vocabulary = self.model.network, self.model.vocabulary
        steps, new = read_steps(network, vocabulary, ids[kept:], pieces[kept:], starts[kept:], before)
        earlier = [old[:kept] for old in session.after or new]
        session.ids, session.after = ids, tuple(map(torch.cat, zip(earlier, new, strict=True)))
        return session, kept, steps

    def _session(self, name: str) -> Session:
        session = self._sessions.pop(name, None) or Session()
        self._sessions[name] = session
        if len(self._sessions) > SESSIONS:
            self._sessions.popitem(last=False)
        return session


def serve(
    run: str | Path | LanguageModel,
    text: str | Path | None = None,
    *,
    steps: int = STEPS,
    host: str = "127.0.0.1",
    port: int = 8765,
    report: Callable[[str], None] = print,
) -> None:
    """Serve the page until Ctrl-C. `text` and `steps` as in `inspect`: what the page begins with.

    Raises CarouselError where starlette and uvicorn are not installed, DataError where the address cannot be had.
    """
    try:
        import starlette  # noqa: F401 (asked for now, before any work)
        import uvicorn
    except ImportError:
        raise CarouselError(
            "The live page is served with starlette and uvicorn, which are not installed: "
            "pip install 'carousel-rnn[page]'. Without --live, the page is a file and needs neither."
        ) from None
    model = load(run)
    with _listen(host, port) as listening:
        app = application(model, text, steps=steps, hosts=_hosts(host), report=report)
        port = listening.getsockname()[1]
        name = f"[{host}]" if ":" in host else host
        report(f"Open http://{name}:{port}/ in a browser. Ctrl-C ends it.")
        uvicorn.Server(uvicorn.Config(app, log_level="warning")).run(sockets=[listening])


def application(
    model: LanguageModel,
    text: str | Path | None = None,
    *,
    steps: int = STEPS,
    hosts: list[str] | None = None,
    report: Callable[[str], None] = lambda _: None,
) -> Starlette:
    """The page of a model as an ASGI application. hosts: the names it may be asked for by; None: any.

    With names, a page of another site whose name was made to lead here cannot ask.
    """
    from starlette.applications import Starlette
    from starlette.middleware import Middleware
    from starlette.middleware.trustedhost import TrustedHostMiddleware
    from starlette.responses import HTMLResponse
    from starlette.routing import Route

    reader = Reader(model)
    name = model.run.resolve().name if model.run else "the model"
    passage = passage_for(model, text, min(steps, LONGEST))
    moments, _ = examine(model, name, passage, report)
    page = document([moments], live=passage.text)

    async def home(_request: Request) -> Response:
        return HTMLResponse(page, headers={"X-Content-Type-Options": "nosniff"})

    async def read(request: Request) -> Response:
        return await _answer(request, lambda q: reader.read(str(q["session"]), str(q["text"])))

    async def influence(request: Request) -> Response:
        return await _answer(request, lambda q: reader.influence(str(q["session"]), str(q["text"]), int(q["step"])))

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
    from starlette.responses import JSONResponse

    # Other sites' pages can send a browser's form here without asking, but not JSON.
    if request.headers.get("content-type", "").partition(";")[0] != "application/json":
        return JSONResponse({"error": "Questions are asked in application/json."}, 415)
    try:
        question = json.loads(await _body(request))
        return JSONResponse(await run_in_threadpool(answer, question))
    except DataError as problem:
        return JSONResponse({"error": str(problem)}, 400)
    except (ValueError, KeyError, TypeError):
        return JSONResponse({"error": "The question is not as this page asks it: reload the page."}, 400)


async def _body(request: Request) -> bytes:
    body = b""
    async for chunk in request.stream():
        body += chunk
        if len(body) > LARGEST:
            raise DataError(f"The page reads {LONGEST:,} symbols at most: shorten the text.")
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
