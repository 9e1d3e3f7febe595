from __future__ import annotations

import json

import pytest
import typer
from typer.testing import CliRunner

from spiritsafe.cli.terms import register
from spiritsafe.errors import InputError, Refused, UsageError


@pytest.fixture
def run():
    app = typer.Typer()
    register(app)
    app.command("other")(lambda: None)

    def run(*arguments):
        result = CliRunner().invoke(app, ["terms", *map(str, arguments)])
        if result.exception and not isinstance(result.exception, SystemExit):
            raise result.exception
        return result

    return run


def test_a_free_teacher_ends_with_0_and_says_why_as_of_when_and_that_it_is_no_advice(run):
    result = run("smollm2")
    assert result.exit_code == 0
    assert result.output.startswith("smollm2: allowed, for the purpose 'student'")
    assert "Apache License 2.0" in result.output
    assert "read 2026-11-22 at" in result.output
    assert "not legal advice" in result.output


def test_a_forbidden_teacher_ends_with_1_and_says_how_to_go_on(run):
    result = run("gpt-4o")
    assert result.exit_code == 1
    assert "3.3(e)" in result.output
    assert "--grant FILE --trust KEY" in result.output


def test_recollection_is_called_so(run):
    assert "recollection" in run("mixtral").output


def test_a_misspelling_is_met_with_what_was_meant(run):
    result = run("lama-3.1")
    assert result.exit_code == 1
    assert "Did you mean: llama 3.1" in result.output


def test_json_carries_the_verdict(run):
    result = run("llama-3.1-8b", "--json")
    answer = json.loads(result.output)
    assert (result.exit_code, answer["verdict"], answer["verified"]) == (0, "conditional", True)
    assert answer["applied"][0]["source"]["copy"].startswith("https://github.com/meta-llama/llama-models/blob/")


def test_purpose_and_host_are_heard(run):
    assert run("qwen2.5-3b", "--purpose", "research").exit_code == 0
    assert run("gemma-4-31b", "--via", "gemini-api").exit_code == 1
    with pytest.raises(UsageError, match="no purpose is called 'fun'"):
        run("smollm2", "--purpose", "fun")


def test_everything_known_is_listed(run):
    assert "SmolLM2" in run("--list").output
    assert len(json.loads(run("--list", "--json").output)["models"]) >= 40


def test_without_a_name_the_way_is_shown(run):
    with pytest.raises(UsageError, match="--list"):
        run()


def test_a_registry_of_ones_own_is_read_besides_ours(run, tmp_path):
    (tmp_path / "mine.yaml").write_text(
        "models:\n  - {name: Mine, publisher: me, terms: mit, names: [mine], basis: quoted}\n"
    )
    assert run("mine", "--registry", tmp_path).exit_code == 0
    assert run("smollm2", "--registry", tmp_path).exit_code == 0


def test_a_rights_holder_writes_a_grant_and_it_opens_the_way_for_this_teacher_alone(run, tmp_path):
    grant, key = tmp_path / "grant.json", tmp_path / "owner.key"
    issued = run(
        "gpt-4o", "--issue", grant, "--key", key, "--issuer", "OpenAI", "--licensee", "Acme", "--max-tokens", 1000
    )
    assert issued.exit_code == 0
    assert "OpenAI permits Acme gpt-4o until" in issued.output
    public = tmp_path / "grant.pub"
    result = run("gpt-4o-mini", "--grant", grant, "--trust", public)
    assert result.exit_code == 0
    assert result.output.startswith("gpt-4o-mini: conditional")
    assert "At most 1,000 tokens" in result.output
    with pytest.raises(Refused, match="not for claude-3"):
        run("claude-3", "--grant", grant, "--trust", public)
    with pytest.raises(Refused, match="no trusted key"):
        run("gpt-4o", "--grant", grant)


def test_a_grant_needs_its_signer_named(run, tmp_path):
    with pytest.raises(UsageError, match="--issuer"):
        run("gpt-4o", "--issue", tmp_path / "g.json")


def test_files_that_are_not_there_or_no_keys_are_named(run, tmp_path):
    with pytest.raises(InputError, match=r"nothing\.json: can't be read"):
        run("gpt-4o", "--grant", tmp_path / "nothing.json")
    (tmp_path / "g.json").write_text("{}")
    (tmp_path / "k.pub").write_text("ed25519 zz\n")
    with pytest.raises(InputError, match=r"k\.pub: not a public key"):
        run("gpt-4o", "--grant", tmp_path / "g.json", "--trust", tmp_path / "k.pub")
