"""``spiritsafe teach``: give a teacher a port, or ask it something."""

from __future__ import annotations

import asyncio
import logging
import sys
from contextlib import closing
from typing import Annotated

import typer

from spiritsafe.cli.data import FOLDER, Data
from spiritsafe.cli.output import Json, emit_json
from spiritsafe.errors import UsageError
from spiritsafe.teach.types import Answer, Chat, Options, Sampling, Teacher

SPEC = typer.Argument(metavar="SPEC", help="smollm2, hf:FOLDER, gguf:FILE or openai:URL#model.")
Spec = Annotated[str, SPEC]
Threads = Annotated[int | None, typer.Option(min=1, help="Threads of torch; one a core unless given.")]

group = typer.Typer(
    help="Open a teacher: give it an OpenAI-compatible port, or ask it something.", no_args_is_help=True
)


def register(app: typer.Typer) -> None:
    """Add ``teach``."""
    app.add_typer(group, name="teach")


@group.command()
def serve(
    spec: Spec,
    port: Annotated[int, typer.Option(min=0, max=65535, help="0 takes a free one.")] = 8000,
    host: Annotated[str, typer.Option(help="The address to listen on.")] = "127.0.0.1",
    threads: Threads = None,
    batch: Annotated[int, typer.Option(min=1, max=1024, help="Answers drawn at once.")] = Options().batch,
    mark: Annotated[
        str | None, typer.Option(metavar="NAME", help="Mark every answer; the key in --data was committed before.")
    ] = None,
    data: Data = FOLDER,
    json: Json = False,
) -> None:
    """Serve a teacher on an OpenAI-compatible port until interrupted."""
    from spiritsafe.protect.serve import marker
    from spiritsafe.teach import server

    marks = None if mark is None else marker(data, mark)
    _say_what_is_done()

    def ready(model: str, bound: int) -> None:
        if json:
            server.announce(model, bound)
        else:
            typer.echo(f"{model} answers at http://{host}:{bound}/v1")

    options = Options(threads=threads, batch=batch)
    server.serve(spec, host=host, port=port, options=options, marker=marks, ready=ready)


@group.command()
def ask(
    spec: Spec,
    prompt: Annotated[str, typer.Argument(help="What to ask; - reads standard input.")],
    system: Annotated[str | None, typer.Option(help="A system message before it.")] = None,
    temperature: Annotated[float, typer.Option(min=0, help="0 takes the likeliest token each time.")] = 0.7,
    top_p: Annotated[float, typer.Option(help="Keep the likeliest tokens of this mass.")] = 1.0,
    max_tokens: Annotated[int, typer.Option(min=1, help="The longest answer.")] = 512,
    seed: Annotated[int | None, typer.Option(help="Makes the answer repeatable.")] = None,
    threads: Threads = None,
    json: Json = False,
) -> None:
    """Ask once; the answer is printed as it comes."""
    from spiritsafe.teach import open_teacher

    text = sys.stdin.read() if prompt == "-" else prompt
    if not text.strip():
        raise UsageError("there is nothing to ask", where="prompt", remedy="Give a prompt, or - and standard input.")
    _say_what_is_done()
    turns = [*([{"role": "system", "content": system}] if system else []), {"role": "user", "content": text}]
    sampling = Sampling(temperature=temperature, top_p=top_p, max_tokens=max_tokens, seed=seed)
    with closing(open_teacher(spec, Options(threads=threads))) as teacher:
        if json:
            emit_json(_machine(teacher.generate([Chat(tuple(turns))], sampling)[0][0], teacher.name))
        else:
            asyncio.run(_show(teacher, Chat(tuple(turns)), sampling))


async def _show(teacher: Teacher, chat: Chat, sampling: Sampling) -> None:
    async for delta in teacher.stream(chat, sampling):
        typer.echo(delta.text, nl=False)
    typer.echo()


def _machine(answer: Answer, model: str) -> dict[str, object]:
    counts = {"prompt_tokens": answer.prompt_tokens, "completion_tokens": answer.completion_tokens}
    return {"model": model, "text": answer.text, "finish": answer.finish, **counts}


def _say_what_is_done() -> None:
    """What takes long (a first conversion) is told on standard error."""
    logging.basicConfig(level=logging.WARNING, format="%(message)s", stream=sys.stderr)
    logging.getLogger("spiritsafe").setLevel(logging.INFO)
