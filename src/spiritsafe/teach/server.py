"""A port for any teacher: ``python -m spiritsafe.teach.server SPEC``."""

from __future__ import annotations

import argparse
import json
import logging
import socket
import sys
import threading
from collections.abc import Callable
from contextlib import suppress

import uvicorn

from spiritsafe.errors import ResourceError, SpiritsafeError
from spiritsafe.teach import open_teacher
from spiritsafe.teach.app import App
from spiritsafe.teach.types import Marker, Options


class Server(uvicorn.Server):
    """Calls ``ready`` once connections are accepted."""

    def __init__(self, config: uvicorn.Config, ready: Callable[[], None]) -> None:
        super().__init__(config)
        self._ready = ready

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        await super().startup(sockets)
        self._ready()


def serve(
    spec: str,
    *,
    host: str = "127.0.0.1",
    port: int = 0,
    options: Options | None = None,
    marker: Marker | None = None,
    ready: Callable[[str, int], None],
    stop_with_stdin: bool = False,
) -> None:
    """Open the teacher and serve it until interrupted; ``ready(model, port)`` is called once it answers.

    With a ``marker`` what it answers is marked. ``port`` 0 takes a free one. With ``stop_with_stdin`` the end of
    standard input ends it too: so a parent that dies takes its teacher along. Raises ResourceError if the port is
    taken.
    """
    bound = _bind(host, port)
    try:
        teacher = open_teacher(spec, options)
    except SpiritsafeError:
        bound.close()
        raise
    config = uvicorn.Config(
        App(teacher, marker), log_level="warning", access_log=False, lifespan="off", timeout_graceful_shutdown=2
    )
    server = Server(config, lambda: ready(teacher.name, bound.getsockname()[1]))
    if stop_with_stdin:
        threading.Thread(target=_stop_at_end_of_stdin, args=(server,), daemon=True).start()
    try:
        with suppress(KeyboardInterrupt):
            server.run(sockets=[bound])
    finally:
        teacher.close()
        bound.close()


def _bind(host: str, port: int) -> socket.socket:
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    bound = socket.socket(family, socket.SOCK_STREAM)
    bound.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    try:
        bound.bind((host, port))
    except OSError as error:
        bound.close()
        raise ResourceError(
            f"can't listen: {error.strerror or error}",
            where=f"{host}:{port}",
            remedy="Choose another port, or 0 for any free one.",
        ) from error
    return bound


def _stop_at_end_of_stdin(server: uvicorn.Server) -> None:
    while sys.stdin.buffer.read(4096):
        pass
    server.should_exit = True


def announce(model: str, port: int) -> None:
    """The one line on standard output that says a server is ready."""
    sys.stdout.write(json.dumps({"port": port, "model": model}) + "\n")
    sys.stdout.flush()


def arguments_of(program: str) -> argparse.ArgumentParser:
    """The arguments of a program that serves a teacher; another room may add its own."""
    parser = argparse.ArgumentParser(prog=program)
    parser.add_argument("spec", help="smollm2, hf:FOLDER, gguf:FILE or openai:URL#model")
    parser.add_argument("--host", default="127.0.0.1")
    parser.add_argument("--port", type=int, default=0, help="0 takes a free one")
    parser.add_argument("--threads", type=int, default=None, help="threads of torch; default one a core")
    parser.add_argument("--batch", type=int, default=Options().batch, help="answers drawn at once")
    parser.add_argument("--stop-with-stdin", action="store_true", help="end when standard input ends")
    return parser


def main(arguments: list[str] | None = None) -> int:
    """``python -m spiritsafe.teach.server SPEC``: serve, with one line of JSON on standard output when ready."""
    return run(arguments_of("python -m spiritsafe.teach.server").parse_args(arguments), lambda: None)


def run(given: argparse.Namespace, marker: Callable[[], Marker | None]) -> int:
    """Serve as the arguments say; returns the exit status. ``marker`` may raise what is wrong with its own."""
    logging.basicConfig(level=logging.INFO, format="%(message)s", stream=sys.stderr)
    try:
        serve(
            given.spec,
            host=given.host,
            port=given.port,
            options=Options(threads=given.threads, batch=given.batch),
            marker=marker(),
            ready=announce,
            stop_with_stdin=given.stop_with_stdin,
        )
    except SpiritsafeError as error:
        sys.stderr.write(f"spiritsafe: {error}\n")
        return error.exit_code
    return 0


if __name__ == "__main__":
    sys.exit(main())
