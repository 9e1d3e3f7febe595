"""``spiritsafe serve``: the gateway before a model server, with the record, the watcher and the admin API."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal, cast

import typer

from spiritsafe.cli.data import FOLDER
from spiritsafe.cli.output import Json, emit_json

if TYPE_CHECKING:
    from spiritsafe.gateway.server import Running
    from spiritsafe.gateway.settings import Settings
    from spiritsafe.gateway.types import App

Keeps = Literal["full", "sketch", "none"]


def register(app: typer.Typer) -> None:
    """Add the verb."""
    app.command()(serve)


def serve(
    upstream: Annotated[
        str | None, typer.Option(metavar="URL", help="The model server to stand before: http://HOST:PORT/v1.")
    ] = None,
    upstream_key_env: Annotated[
        str | None, typer.Option(metavar="NAME", help="The environment variable that holds its API key.")
    ] = None,
    teacher: Annotated[
        str | None, typer.Option(metavar="SPEC", help="Start a model here instead: smollm2, hf:FOLDER, gguf:FILE.")
    ] = None,
    mark: Annotated[
        str | None,
        typer.Option(metavar="NAME", help="Mark what --teacher answers; commit first: spiritsafe mark commit NAME."),
    ] = None,
    data: Annotated[
        Path | None,
        typer.Option("--data", envvar="SPIRITSAFE_DATA", metavar="DIR", help=f"The data folder. [default: {FOLDER}]"),
    ] = None,
    database: Annotated[
        str | None,
        typer.Option(
            "--database", envvar="SPIRITSAFE_DATABASE", metavar="URL", help="The database, if not DIR/spiritsafe.db."
        ),
    ] = None,
    host: Annotated[str | None, typer.Option(help="The address to listen on. [default: 127.0.0.1]")] = None,
    port: Annotated[
        int | None, typer.Option(min=0, max=65535, help="The port; 0 takes any that is free. [default: 8700]")
    ] = None,
    config: Annotated[
        Path | None, typer.Option(metavar="FILE", help="Settings as YAML; options given here override it.")
    ] = None,
    policy: Annotated[
        Path | None, typer.Option(metavar="FILE", help="The policy by which the watcher decides.")
    ] = None,
    reference: Annotated[
        Path | None, typer.Option(metavar="FILE", help="Honest traffic the watcher compares with, or: starter.")
    ] = None,
    twins: Annotated[
        float | None,
        typer.Option(min=0, max=1, metavar="SHARE", help="Answer this share of requests twice and withhold one."),
    ] = None,
    content: Annotated[Keeps | None, typer.Option(help="How much text the record keeps. [default: full]")] = None,
    json: Json = False,
) -> None:
    """Run the gateway until it is interrupted. The first start says how to make an account and a key."""
    from spiritsafe.console.app import app as console
    from spiritsafe.gateway import server

    given = {
        "teacher": teacher,
        "mark": mark,
        "data": str(data) if data is not None else None,
        "database": database,
        "host": host,
        "port": port,
    }
    watch = {"policy": policy, "reference": reference}
    settings = _settings(config, given, upstream, upstream_key_env, watch, content, twins)
    server.run(
        settings,
        lambda running: _announce(running, json),
        lambda parts: cast("App", console(parts.store, parts.settings.folder, token=parts.token)),
    )


def _settings(
    config: Path | None,
    given: dict[str, Any],
    upstream: str | None,
    key_env: str | None,
    watch: dict[str, Path | None],
    content: Keeps | None,
    twins: float | None,
) -> Settings:
    import msgspec

    from spiritsafe.errors import UsageError
    from spiritsafe.gateway.settings import Settings, TwinSettings, UpstreamSettings
    from spiritsafe.settings import load

    settings = load(config, Settings) if config is not None else Settings()
    change = msgspec.structs.replace
    settings = change(settings, **{name: value for name, value in given.items() if value is not None})
    if upstream is not None:
        try:
            settings = change(settings, upstreams=(UpstreamSettings(url=upstream, key_env=key_env),))
        except ValueError as error:
            raise UsageError(str(error), remedy="Correct --upstream.") from error
    elif key_env is not None:
        raise UsageError("--upstream-key-env without --upstream", remedy="Name both, or set key_env in --config.")
    files = {name: str(path) for name, path in watch.items() if path is not None}
    settings = change(settings, watch=change(settings.watch, **files))
    if content is not None:
        settings = change(settings, record=change(settings.record, content=content))
    if twins is not None:
        settings = change(settings, twins=TwinSettings(share=twins))
    return settings


def _announce(running: Running, json: bool) -> None:
    if json:
        emit_json(running)
        return
    typer.echo(f"Spiritsafe stands at {running.url} before {', '.join(running.upstreams)}.")
    typer.echo(f"Everything is recorded in {running.data}; admin token: {running.admin_token}")
    if running.first:
        where = "" if running.data == str(FOLDER) else f" --data {running.data}"
        typer.echo("\nNobody has a key yet. In another terminal:")
        typer.echo(f"  spiritsafe account add NAME{where}")
        typer.echo(f"  spiritsafe key add NAME{where}")
        typer.echo(f"Then talk to it: base_url {running.url}/v1 and that key, with any OpenAI or Anthropic client.")
