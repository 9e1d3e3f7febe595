from __future__ import annotations

import json
from datetime import UTC, datetime

import pytest
import typer
from typer.testing import CliRunner

from spiritsafe.cli.cost import register
from spiritsafe.distill.ledger import Book, Entry
from spiritsafe.errors import InputError, UsageError

V3 = ["--params-active", "37e9", "--tokens", "14.8e12", "--gpu", "h800", "--gpus", "2048", "--price", "2"]
V3 += ["--reported", "5.576e6"]


@pytest.fixture
def run():
    app = typer.Typer()
    register(app)
    app.command("other")(lambda: None)

    def run(*arguments):
        result = CliRunner().invoke(app, ["cost", *map(str, arguments)])
        if result.exception and not isinstance(result.exception, SystemExit):
            raise result.exception
        return result

    return run


def test_the_published_claim_is_plausible(run):
    result = run("claim", *V3, "--hours", "2.788e6")
    assert result.exit_code == 0
    assert result.output.startswith("plausible")
    for text in ("33.1%", "3.286e+24", "5,576,000", "56.7", "runs that failed"):
        assert text in result.output


def test_in_json_the_verdict_stands_for_itself(run):
    found = json.loads(run("claim", *V3, "--hours", "2.788e6", "--json").output)
    assert found["verdict"] == "plausible"
    assert found["utilisation"] == pytest.approx(0.331, abs=1e-3)


def test_a_tenth_of_the_hours_is_implausible_and_ends_with_1(run):
    result = run("claim", *V3, "--hours", "2.788e5")
    assert result.exit_code == 1
    assert result.output.startswith("implausible")


def test_a_teachers_part_is_counted_in(run):
    result = run("claim", *V3, "--hours", "2.788e6", "--teacher-params", "200e9", "--teacher-tokens", "1e12",
                 "--teacher-price", "10", "--teacher-reported", "50e6")  # fmt: skip
    assert "10,000,000" in result.output
    assert "65,576,000" in result.output
    assert "assumed" not in result.output


def test_an_accelerator_of_ones_own_is_taken_with_its_peak(run):
    arguments = ["claim", "--params-active", "1e9", "--tokens", "1e12", "--hours", "16667"]
    found = json.loads(run(*arguments, "--gpu", "mine", "--peak", "250", "--json").output)
    assert found["utilisation"] == pytest.approx(0.4, abs=1e-3)
    with pytest.raises(UsageError, match="--peak"):
        run(*arguments, "--gpu", "mine")
    with pytest.raises(UsageError, match="above 0"):
        run(*arguments, "--peak", "0")


def test_a_runs_ledger_is_summed_up(run, tmp_path):
    book = Book(tmp_path)
    book.about(teacher="DeepSeek-V3", student_params=99e6)
    now = datetime.now(UTC)
    book.add(Entry(stage="collect", what="answers", time=now, seconds=3600, tokens_out=5000, money=1.5, reused=7))
    book.add(Entry(stage="train", what="steps", time=now, seconds=1800, tokens_trained=10**6, flops=6e14))
    result = run(tmp_path)
    assert result.exit_code == 0
    for text in ("collect", "train", "all", "1.50 USD", "600.0", "65 W", "from nothing", "5,576,000 USD"):
        assert text in result.output
    found = json.loads(run(tmp_path, "--json").output)
    assert found["total"]["money"] == {"USD": 1.5}


def test_a_folder_without_a_ledger_is_said_so(run, tmp_path):
    with pytest.raises(InputError, match="no ledger there"):
        run(tmp_path)
