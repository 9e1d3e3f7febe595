"""``spiritsafe policy``: the rules that turn evidence into action; show, check."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from spiritsafe.cli.output import Json, emit_json, emit_table

if TYPE_CHECKING:
    from spiritsafe.policy.rules import Rule, Rules

group = typer.Typer(
    help="The rules that turn evidence into action: show, check.", no_args_is_help=True, rich_markup_mode=None
)


def register(app: typer.Typer) -> None:
    """Add the verb."""
    app.add_typer(group, name="policy")


@group.command()
def show(
    file: Annotated[Path | None, typer.Argument(help="A policy file; else the one that ships.")] = None,
    json: Json = False,
) -> None:
    """Show a policy's rules, in the order in which they are tried."""
    from spiritsafe.policy.rules import load

    _show(load(file), json)


@group.command()
def check(file: Annotated[Path, typer.Argument(help="A policy file.")], json: Json = False) -> None:
    """Check a policy file; every problem is named with its line."""
    from spiritsafe.policy.rules import load

    rules = load(file)
    if json:
        emit_json({"verdict": "valid", "policy": rules.digest(), "rules": len(rules.rules)})
    else:
        typer.echo(f"{file}: valid, {len(rules.rules)} rules, policy:{rules.digest()}")


def _show(rules: Rules, json: bool) -> None:
    if json:
        emit_json({"policy": rules.digest(), **_plain(rules)})
        return
    emit_table(("rule", "about", "needs", "leads to", "for"), map(_line, rules.rules), title=f"policy:{rules.digest()}")
    typer.echo(f"False discovery rate {rules.fdr:g}; from {rules.accuses_from} on a step is an accusation.")
    typer.echo(f"Grants for {', '.join(rules.purposes)} are read before any score. Appeal: {rules.appeal}")


def _plain(rules: Rules) -> dict[str, object]:
    import msgspec

    plain: dict[str, object] = msgspec.to_builtins(rules)
    return plain


def _line(rule: Rule) -> tuple[str, ...]:
    strong = "certain" if rule.certain else f"10^{rule.log10_e:g}"
    needs = f"{rule.families} {'family' if rule.families == 1 else 'families'}, {strong}"
    if rule.and_any_of:
        needs += f", and {' or '.join(rule.and_any_of)} 10^{rule.and_log10_e:g}"
    action = rule.action + (" once a person confirms" if rule.needs_person else "")
    action += f", {rule.meanwhile} until then" if rule.meanwhile else ""
    return (rule.name, rule.subject, needs, action, rule.duration)
