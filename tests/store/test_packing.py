"""Evidence survives being kept."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from spiritsafe.stats.result import Conformal, Evidence, Exact, MonteCarlo, Result
from spiritsafe.store.columns import storable
from spiritsafe.store.packing import pack, unpack_evidence, unpack_reasons

numbers = st.floats(allow_nan=False, allow_infinity=False)
counts = st.integers(0, 2**53)
methods = (
    st.builds(Exact, st.text())
    | st.builds(MonteCarlo, counts, counts)
    | st.builds(Conformal, st.text(), counts, st.none() | st.text())
)
results = st.builds(
    Result,
    name=st.text(),
    version=counts,
    subject=st.text(),
    null=st.text(),
    statistic=numbers,
    p_value=st.floats(0, 1, exclude_min=True),
    log10_e=numbers,
    n=counts,
    unit=st.text(),
    effect=numbers,
    method=methods,
    interval=st.none() | st.tuples(numbers, numbers),
    because=st.lists(st.text()).map(tuple),
    seconds=numbers,
)


@given(st.lists(st.builds(Evidence, family=st.text(), result=results), max_size=3).map(tuple))
def test_evidence_comes_back_as_it_was(evidence: tuple[Evidence, ...]) -> None:
    text = pack(evidence)
    back = unpack_evidence(text)
    assert pack(back) == text
    assert [e.result.log10_e for e in back] == [e.result.log10_e for e in evidence]
    assert [e.result.method.__class__ for e in back] == [e.result.method.__class__ for e in evidence]
    assert [e.result.p_value for e in back] == [e.result.p_value for e in evidence]


@given(st.lists(st.text(alphabet=st.characters(exclude_categories=[]))).map(tuple))
def test_reasons_come_back_as_they_can_be_stored(reasons: tuple[str, ...]) -> None:
    text = pack(reasons)
    assert storable(text) == text
    assert unpack_reasons(text) == tuple(storable(reason) for reason in reasons)
