from __future__ import annotations

from datetime import date

import pytest

from spiritsafe.distill.terms.registry import own_registry, read_registry
from spiritsafe.errors import ConfigError, InputError

GOOD = """\
terms:
  - id: free
    name: Free
    publisher: p
    reach: weights
    verdict: allowed
    clauses: [{what: Anything goes., kind: free}]
    source: {document: d, basis: "recollection, unverified"}
models:
  - {name: Foo, publisher: p, terms: free, names: [foo, foo 2], basis: "recollection, unverified"}
"""


def test_ours_is_whole_and_covers_the_ways_in_which_terms_differ():
    registry = own_registry()
    assert len(registry.models) >= 40
    verdicts = [registry.terms[m.terms].verdict for m in registry.models]
    assert set(verdicts) == {"allowed", "conditional", "forbidden", "unknown"}
    kinds = {c.kind for t in registry.terms.values() for c in t.clauses}
    assert {"free", "attribution", "naming", "competing", "distillation", "non-commercial"} <= kinds
    assert {t.reach for t in registry.terms.values()} == {"weights", "api"}
    assert set(registry.terms) == {m.terms for m in registry.models} | {"cc-by-4.0"}


def test_in_ours_whatever_is_not_simply_free_says_what_it_asks_or_forbids():
    for terms in own_registry().terms.values():
        for verdict in {terms.verdict, *terms.purposes.values()}:
            if verdict == "conditional":
                assert any(c.condition for c in terms.clauses), terms.id
            if verdict == "forbidden":
                assert any(c.forbids for c in terms.clauses), terms.id


def test_in_ours_nothing_was_read_in_the_future_and_every_source_has_an_address():
    for terms in own_registry().terms.values():
        assert terms.source.url is not None, terms.id
        assert terms.source.read is None or date(2026, 1, 1) <= terms.source.read <= date(2026, 12, 31)


def test_folders_are_read_together(tmp_path):
    for name in ("a", "b"):
        (tmp_path / name).mkdir()
    (tmp_path / "a" / "x.yaml").write_text(GOOD)
    (tmp_path / "b" / "y.yaml").write_text(
        "models:\n  - {name: Bar, publisher: p, terms: free, names: [bar], basis: quoted}\n"
    )
    registry = read_registry(tmp_path / "a", tmp_path / "b")
    assert [m.name for m in registry.models] == ["Foo", "Bar"]
    assert list(registry.terms) == ["free"]


def test_an_empty_folder_is_refused(tmp_path):
    with pytest.raises(InputError, match="no terms"):
        read_registry(tmp_path)


def test_every_problem_of_every_file_is_named_with_its_line(tmp_path):
    (tmp_path / "a.yaml").write_text(GOOD.replace("verdict: allowed", "verdict: fine"))
    (tmp_path / "b.yaml").write_text("models:\n  - {name: Bar, publisher: p, terms: free, nmaes: [x], basis: read}\n")
    with pytest.raises(ConfigError) as caught:
        read_registry(tmp_path)
    text = str(caught.value)
    assert f"{tmp_path / 'a.yaml'}:6: " in text
    assert "allowed, conditional, forbidden, unknown" in text
    assert f"{tmp_path / 'b.yaml'}:2: " in text
    assert "Did you mean 'names'" in text


def test_a_source_that_claims_to_be_read_without_a_copy_is_found_with_its_line(tmp_path):
    (tmp_path / "a.yaml").write_text(GOOD.replace('"recollection, unverified"}\nmodels', "read}\nmodels"))
    with pytest.raises(ConfigError, match=r"a\.yaml:\d+: .*takes 'read'"):
        read_registry(tmp_path)


@pytest.mark.parametrize(
    ("extra", "line", "words"),
    [
        ("  - {name: Bar, publisher: p, terms: fre, names: [bar], basis: quoted}\n", 11, "no terms are called 'fre'"),
        ("  - {name: Bar, publisher: p, terms: free, names: [Foo-2], basis: quoted}\n", 11, "'Foo-2' stands at"),
        ("  - {name: Bar, publisher: p, terms: free, names: ['-'], basis: quoted}\n", 11, "no letter or digit"),
    ],
)
def test_what_is_wrong_between_entries_is_found_with_its_line(tmp_path, extra, line, words):
    (tmp_path / "a.yaml").write_text(GOOD + extra)
    with pytest.raises(ConfigError, match=rf"a\.yaml:{line}: .*{words}"):
        read_registry(tmp_path)


def test_terms_that_stand_twice_are_found(tmp_path):
    (tmp_path / "a.yaml").write_text(GOOD)
    (tmp_path / "b.yaml").write_text(GOOD.split("models:", maxsplit=1)[0])
    with pytest.raises(ConfigError, match="'free' stand at"):
        read_registry(tmp_path)
