"""vLLM's interfaces, from the published wheel where it is at hand, and stand-ins for the rest of vLLM."""

from __future__ import annotations

import importlib
import os
import sys
import zipfile
from collections.abc import Iterator
from pathlib import Path
from types import ModuleType, SimpleNamespace
from typing import Any

import pytest

V1 = "vllm/v1/sample/logits_processor/interface.py"
V2 = "vllm/v1/worker/gpu/sample/logits_processor/interface.py"


def wheel() -> Path | None:
    """vLLM's wheel: VLLM_WHEEL names it, or it lies in .bench/vllm."""
    folder = Path(__file__).resolve().parents[4] / ".bench" / "vllm"
    named = os.environ.get("VLLM_WHEEL")
    found = [Path(named)] if named else sorted(folder.glob("vllm-*.whl"))
    return found[-1] if found and found[-1].exists() else None


@pytest.fixture(params=["published", "restated"])
def vllm(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> Iterator[dict[str, Any]]:
    """``{"v1": module, "v2": module}`` with each interface's classes, importable under vLLM's names.

    ``published`` runs the wheel's own files; ``restated`` what we hold its contract to be, so that the rest of the
    test runs anywhere.
    """
    path = wheel()
    if request.param == "published" and path is None:
        pytest.skip("vLLM's wheel is not at hand: pip download vllm --no-deps -d .bench/vllm (340 MB)")
    names = ["vllm", "vllm.v1", "vllm.v1.sample", "vllm.v1.sample.logits_processor", "vllm.v1.worker"]
    names += ["vllm.v1.worker.gpu", "vllm.v1.worker.gpu.sample", "vllm.v1.worker.gpu.sample.logits_processor"]
    modules = {name: ModuleType(name) for name in names}
    modules["vllm"].SamplingParams = SimpleNamespace  # type: ignore[attr-defined]
    for name, module in modules.items():
        monkeypatch.setitem(sys.modules, name, module)
    for name, file in ((names[3], V1), (names[7], V2)):
        if request.param == "published":
            assert path is not None
            with zipfile.ZipFile(path) as archive:
                source = archive.read(file).decode()
            exec(compile(source, file, "exec"), modules[name].__dict__)
        else:
            modules[name].LogitsProcessor = restated(file)  # type: ignore[attr-defined]
    adapters = "spiritsafe.protect.marks.adapters."
    for short in ("vllm_v1", "vllm_v2"):
        monkeypatch.delitem(sys.modules, adapters + short, raising=False)
    yield {
        "v1": SimpleNamespace(interface=modules[names[3]], adapter=importlib.import_module(adapters + "vllm_v1")),
        "v2": SimpleNamespace(interface=modules[names[7]], adapter=importlib.import_module(adapters + "vllm_v2")),
    }
    for short in ("vllm_v1", "vllm_v2"):
        sys.modules.pop(adapters + short, None)


def restated(file: str) -> type:
    from abc import ABC, abstractmethod

    class First(ABC):
        @abstractmethod
        def __init__(self, vllm_config: Any, device: Any, is_pin_memory: bool) -> None: ...
        @abstractmethod
        def apply(self, logits: Any) -> Any: ...
        @abstractmethod
        def is_argmax_invariant(self) -> bool: ...
        @abstractmethod
        def update_state(self, batch_update: Any) -> None: ...

    class Second(ABC):
        def __init__(self, vllm_config: Any, req_states: Any) -> None: ...  # noqa: B027
        @abstractmethod
        def apply(self, logits: Any, ctx: Any) -> Any: ...

    return First if file == V1 else Second


@pytest.fixture
def params() -> Any:
    def make(**changed: Any) -> SimpleNamespace:
        usual = {"temperature": 1.0, "top_p": 1.0, "top_k": 0, "min_p": 0.0, "extra_args": None}
        return SimpleNamespace(**(usual | changed))

    return make
