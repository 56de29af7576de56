"""A checkpoint from elsewhere is refused before any of it is loaded: every tensor and every number is checked."""

import copy
import math
import pickle
import zipfile
from collections.abc import Callable
from io import BytesIO
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from processes import Process
from torch import nn

from carousel.errors import RunError
from carousel.models import TokenModel
from carousel.training.batches import ShuffledBatches
from carousel.training.budget import Budget
from carousel.training.lane_batches import LaneBatches
from carousel.training.lanes import Lanes
from carousel.training.loop import Loop
from carousel.training.measure import Measure
from carousel.training.progress import Quiet
from carousel.training.run import Run
from carousel.training.run_folder import RunFolder
from carousel.training.schedule import TrainingPlan


def reading_loop() -> Loop:
    torch.manual_seed(0)
    network = TokenModel(5, hidden=4, embedding=3)
    return Loop(network, LaneBatches(Lanes(np.arange(60) % 5, lanes=2, window=4)), peak_rate=1e-3)


def batches_loop() -> Loop:
    torch.manual_seed(0)
    network = nn.Linear(3, 2)
    x = torch.randn(10, 3)
    return Loop(network, ShuffledBatches(10, 4, lambda model, at: model(x[at]).square().mean(), seed=0), peak_rate=1e-3)


def saved_by(make: Callable[[], Loop], steps: int = 2) -> dict[str, Any]:
    loop = make()
    loop.plan = TrainingPlan.of(20)
    for _ in range(steps):
        loop.step()
    return copy.deepcopy(loop.state_dict())


def everything_of(loop: Loop) -> list[torch.Tensor]:
    averages = [value for state in loop.optimizer.state.values() for value in state.values()]
    return [tensor.clone() for tensor in (*loop.model.state_dict().values(), *averages)]


def put(saved: Any, path: str, value: Any) -> None:
    name, _, rest = path.partition("/")
    key = int(name) if name.isdecimal() else name
    if not rest:
        saved[key] = value
    elif isinstance(saved[key], tuple):
        parts = list(saved[key])
        put(parts, rest, value)
        saved[key] = tuple(parts)
    else:
        put(saved[key], rest, value)


def get(saved: Any, path: str) -> Any:
    for name in path.split("/"):
        saved = saved[int(name) if name.isdecimal() else name]
    return saved


TENSORS = (
    "model/head.weight", "model/recurrent.weight_hh_l0", "optimizer/state/0/exp_avg", "optimizer/state/1/exp_avg_sq",
    "optimizer/state/2/step", "loss_sum", "recent_loss", "random", "lessons/carry/0", "lessons/carry/1",
)  # fmt: skip


def wide(tensor: torch.Tensor) -> torch.Tensor:
    return torch.zeros(1, dtype=tensor.dtype).expand(tensor.numel()).view(tensor.shape)


SPOILT: dict[str, tuple[Callable[[torch.Tensor], Any], str]] = {
    "longer": (lambda t: torch.zeros((*t.shape, 2), dtype=t.dtype), "has the shape"),
    "shorter": (lambda t: torch.zeros([0] * max(t.dim(), 1), dtype=t.dtype), "has the shape"),
    "of another type": (lambda t: t.to(torch.float64), "is of the type float64"),
    "of complex numbers": (lambda t: t.to(torch.complex64), "is of the type complex64"),
    "without memory": (lambda t: t.to("meta"), "no tensor that lies in memory"),
    "sparse": (lambda t: t.float().to_sparse(), "no tensor that lies in memory"),
    "a list": (lambda t: t.tolist(), "and no tensor"),
    "nothing": (lambda t: None, "and no tensor"),
}


@pytest.mark.parametrize("path", TENSORS)
@pytest.mark.parametrize("how", SPOILT)
def test_a_tensor_that_is_none_of_the_training_is_named_and_nothing_is_loaded(path: str, how: str) -> None:
    saved = saved_by(reading_loop)
    spoil, said = SPOILT[how]
    put(saved, path, spoil(get(saved, path)))
    loop = reading_loop()
    before = everything_of(loop)
    with pytest.raises(ValueError, match=said) as refusal:
        loop.load_state_dict(saved)
    assert path.split("/")[-1].split(".")[0] in str(refusal.value)
    assert all(torch.equal(one, other) for one, other in zip(before, everything_of(loop), strict=True))


@pytest.mark.parametrize("path", [path for path in TENSORS if "exp" in path or "model" in path or "carry" in path])
def test_a_tensor_that_only_looks_as_large_as_it_should_be_is_refused(path: str) -> None:
    """One number, repeated by its strides: the fused AdamW would write where nothing is."""
    saved = saved_by(reading_loop)
    put(saved, path, wide(get(saved, path)))
    with pytest.raises(ValueError, match="no tensor that lies in memory as its numbers follow each other"):
        reading_loop().load_state_dict(saved)


def test_averages_that_share_their_memory_are_refused() -> None:
    saved = saved_by(batches_loop)
    saved["optimizer"]["state"][0]["exp_avg"] = saved["optimizer"]["state"][0]["exp_avg_sq"]
    with pytest.raises(ValueError, match=r"optimizer\.state has averages that share their memory"):
        batches_loop().load_state_dict(saved)


NUMBERS = [
    ("steps", -1), ("steps", 21), ("steps", 2.0), ("steps", True), ("steps", 10**30), ("steps", None), ("steps", "2"),
    ("loss_count", -1), ("loss_count", 3), ("loss_count", math.nan),
    ("plan", []), ("plan", {"steps": 20}), ("plan/steps", 0), ("plan/steps", 1), ("plan/steps", 10**20),
    ("plan/log_every", 0), ("plan/validate_every", -5), ("plan/validate_every", 1.5),
    ("optimizer/param_groups/0/lr", math.nan), ("optimizer/param_groups/0/lr", -1.0),
    ("optimizer/param_groups/0/betas", (math.nan, 0.99)), ("optimizer/param_groups/0/betas", (0.9, -1.0)),
    ("optimizer/param_groups/0/eps", -1e-8), ("optimizer/param_groups/0/weight_decay", 1e9),
    ("optimizer/param_groups/0/amsgrad", True), ("optimizer/param_groups/0/maximize", True),
    ("optimizer/param_groups/0/fused", False), ("optimizer/param_groups/0/params", [0]),
    ("optimizer/param_groups/0/params", [1, 0]), ("optimizer/param_groups", []), ("optimizer/state", []),
    ("optimizer/state/0", {}), ("optimizer/state/2", {}), ("optimizer/state/-1", {}),
    ("optimizer/state/0/step", torch.tensor(-1.0)), ("optimizer/state/0/step", torch.tensor(3.0)),
    ("optimizer/state/0/step", torch.tensor(1.5)), ("optimizer/state/0/step", torch.tensor(math.nan)),
    ("optimizer/state/0/exp_avg", torch.full((2, 3), math.inf)),
    ("optimizer/state/0/exp_avg_sq", torch.full((2, 3), -1.0)), ("optimizer/state/0/max_exp_avg_sq", torch.zeros(2, 3)),
    ("recent_loss", torch.tensor(math.nan)), ("random", torch.zeros(5056, dtype=torch.uint8)),
    ("random", torch.full((5056,), 255, dtype=torch.uint8)), ("lessons/position", 11), ("lessons/position", -4),
    ("lessons/position", 3), ("lessons/epoch", -1), ("lessons/epoch", 0.5), ("lessons/count", 11),
    ("lessons/batch", 10**9), ("lessons", None), ("model", None), ("model/extra", torch.zeros(1)), ("extra", 1),
]  # fmt: skip


@pytest.mark.parametrize(("path", "value"), NUMBERS, ids=[f"{path}={str(value)[:20]}" for path, value in NUMBERS])
def test_a_number_that_no_training_has_is_named_and_nothing_is_loaded(path: str, value: Any) -> None:
    saved = saved_by(batches_loop)
    if "/-1" in path:
        saved["optimizer"]["state"][-1] = value
    else:
        put(saved, path, value)
    loop = batches_loop()
    before, dice = everything_of(loop), torch.get_rng_state()
    named = next(name for name in reversed(path.split("/")) if not name.lstrip("-").isdecimal())
    with pytest.raises(ValueError, match=rf"{named}|lessons is a position among"):
        loop.load_state_dict(saved)
    assert all(torch.equal(one, other) for one, other in zip(before, everything_of(loop), strict=True))
    assert torch.equal(torch.get_rng_state(), dice)
    assert loop.steps == 0


def test_what_a_checkpoint_lacks_is_named() -> None:
    saved = saved_by(batches_loop)
    for missing in saved:
        with pytest.raises(ValueError, match=f"lacks {missing}"):
            batches_loop().load_state_dict({name: value for name, value in saved.items() if name != missing})


@pytest.mark.parametrize("make", [reading_loop, batches_loop])
@pytest.mark.parametrize("steps", [0, 1, 5, 12])
def test_what_a_training_saved_is_taken(make: Callable[[], Loop], steps: int) -> None:
    saved = saved_by(make, steps)
    loop = make()
    loop.load_state_dict(copy.deepcopy(saved))
    loop.step()
    other = make()
    other.plan = TrainingPlan.of(20)
    for _ in range(steps + 1):
        other.step()
    assert all(torch.equal(a, b) for a, b in zip(everything_of(loop), everything_of(other), strict=True))


def test_choices_that_another_version_of_torch_has_are_no_hindrance() -> None:
    saved = saved_by(batches_loop)
    group = saved["optimizer"]["param_groups"][0]
    group["of_a_later_version"] = 3
    group.pop("decoupled_weight_decay", None)
    loop = batches_loop()
    loop.load_state_dict(saved)
    assert "of_a_later_version" not in loop.optimizer.param_groups[0]
    loop.step()


# -- the file -------------------------------------------------------------------------------------------------------


def a_run(folder: RunFolder, epochs: float = 5) -> Run:
    return Run(
        batches_loop(), folder, Budget(epochs=epochs), validate=lambda: 1.0, sample=lambda steps: None,
        planned=lambda loop: None, measure=Measure("step"), validation_measure=Measure("step"), report=Quiet(),
    )  # fmt: skip


@pytest.fixture
def folder(tmp_path: Path) -> RunFolder:
    folder = RunFolder.create(tmp_path / "run")
    folder.write_config({"task": "test"})
    a_run(folder).train()
    return folder


@pytest.mark.parametrize(
    ("entry", "value"),
    [
        ("best", math.nan), ("best", "good"), ("latest", math.inf), ("seconds", -1.0), ("seconds", math.nan),
        ("log_length", -1), ("log_length", 1.5), ("loop/plan", {"steps": 10**9, "log_every": 1, "validate_every": 1}),
    ],
)  # fmt: skip
def test_the_refusal_names_the_file_and_the_entry(folder: RunFolder, entry: str, value: Any) -> None:
    saved = folder.read_state()
    put(saved, entry, value)
    folder.write_state(saved)  # type: ignore[arg-type]
    name = entry.split("/")[-1]
    with pytest.raises(RunError, match=rf"train_state\.pt is not of this run: .*{name}.*put it back, or train again"):
        a_run(folder).resume()


def test_a_run_that_spread_its_validations_otherwise_keeps_its_plan(folder: RunFolder) -> None:
    """As an earlier Carousel did, where a short run validated after every step."""
    saved = folder.read_state()
    assert saved is not None
    saved["loop"]["plan"]["validate_every"] = 7
    folder.write_state(saved)
    run = a_run(folder)
    assert run.resume()
    assert run.loop.plan is not None
    assert run.loop.plan.validate_every == 7


def test_the_averages_of_another_shape_are_named_by_file_and_entry(folder: RunFolder) -> None:
    saved = folder.read_state()
    saved["loop"]["optimizer"]["state"][0]["exp_avg"] = torch.zeros(1)
    folder.write_state(saved)  # type: ignore[arg-type]
    message = r"train_state\.pt is not of this run.*optimizer\.state\.0\.exp_avg has the shape \(1,\).*\(2, 3\)"
    with pytest.raises(RunError, match=message):
        a_run(folder).resume()


def test_an_archive_that_unpacks_to_more_than_it_is_is_refused(folder: RunFolder) -> None:
    file = folder.path / "train_state.pt"
    packed = BytesIO()
    with zipfile.ZipFile(file) as before, zipfile.ZipFile(packed, "w", zipfile.ZIP_DEFLATED) as after:
        for name in before.namelist():
            after.writestr(name, before.read(name))
        after.writestr("archive/data/99", bytes(50_000_000))
    file.write_bytes(packed.getvalue())
    (folder.path / "config.json").write_text('{"format": 1, "task": "test"}')  # so that no checksum is asked for
    with pytest.raises(RunError, match=r"train_state\.pt is damaged \(it is compressed, which training does not do\)"):
        RunFolder.open(folder.path).read_state()


def test_a_nested_pickle_ends_in_words(folder: RunFolder) -> None:
    file = folder.path / "train_state.pt"
    deep: Any = []
    for _ in range(200):
        deep = [deep]
    with zipfile.ZipFile(file) as before:
        entries = {name: before.read(name) for name in before.namelist()}
    entries["archive/data.pkl"] = pickle.dumps({"format": 1, "loop": deep}, protocol=2)
    with zipfile.ZipFile(file, "w") as after:
        for name, content in entries.items():
            after.writestr(name, content)
    (folder.path / "config.json").write_text('{"format": 1, "task": "test"}')
    with pytest.raises(RunError, match=r"train_state\.pt is (damaged|not of this run)"):
        a_run(RunFolder.open(folder.path)).resume()


# -- numbers of a config that ask for what no machine has -----------------------------------------------------------

HOSTILE = {
    "hidden": (10**9, 10**18, 10**30, -1, 0, "many", 2.5, None, [4]),
    "layers": (10**9, 10**30, -1, 0, "many", None),
    "embedding": (10**9, -1, 0, None),
}


@pytest.mark.parametrize(("name", "value"), [(name, value) for name, values in HOSTILE.items() for value in values])
def test_a_network_that_no_machine_holds_is_refused_before_it_is_built(tmp_path: Path, name: str, value: Any) -> None:
    from carousel import LanguageModel

    folder = RunFolder.create(tmp_path / "run")
    model: dict[str, Any] = {"cell": "gru", "hidden": 4, "layers": 1, "embedding": 3}
    folder.write_model(TokenModel(256, **model).state_dict())
    rest: dict[str, Any] = {"task": "language", "vocabulary": {"level": "byte"}, "settings": {}}
    folder.write_config({**rest, "model": model | {name: value}})
    with pytest.raises(RunError, match=r"config\.json"):
        LanguageModel.load(folder.path)
    folder.write_config({**rest, "model": model})
    assert LanguageModel.load(folder.path).network.recurrent.hidden_size == 4


@pytest.mark.parametrize(
    "vocabulary",
    [
        {"level": "char", "characters": "aab"}, {"level": "word", "words": ["a", "a"], "alphabet": 3},
        {"level": "word", "words": ["a", 3], "alphabet": 3}, {"level": "word", "words": ["a"], "alphabet": -1},
        {"level": "smell"}, [], None,
    ],
)  # fmt: skip
def test_a_vocabulary_that_no_text_has_is_refused(tmp_path: Path, vocabulary: Any) -> None:
    from carousel import LanguageModel

    folder = RunFolder.create(tmp_path / "run")
    model: dict[str, Any] = {"cell": "gru", "hidden": 4, "layers": 1, "embedding": 3}
    folder.write_config({"task": "language", "model": model, "vocabulary": vocabulary})
    with pytest.raises(RunError, match=r"config\.json"):
        LanguageModel.load(folder.path)


def test_weights_that_are_no_numbers_and_weights_of_another_type_are_named(tmp_path: Path) -> None:
    folder = RunFolder.create(tmp_path / "run")
    folder.write_config({})
    network = nn.Linear(2, 2)
    for weights, said in (
        ({"weight": torch.full((2, 2), math.nan), "bias": torch.zeros(2)}, "weight holds what is no number"),
        ({"weight": torch.zeros(2, 2).double(), "bias": torch.zeros(2)}, "weight is of the type float64"),
        ({"weight": torch.zeros(2, 2)}, "lacks 'bias'"),
        ({"weight": torch.zeros(2, 2), "bias": torch.zeros(2), "b": torch.zeros(1)}, "has 'b'"),
        ({"weight": torch.zeros(2, 3), "bias": torch.zeros(2)}, r"weight has the shape \(2, 3\)"),
    ):
        folder.write_model(weights)
        with pytest.raises(RunError, match=rf"do not fit its config\.json: .*{said}"):
            folder.load_into(network)


def test_a_hostile_checkpoint_ends_no_process(folder: RunFolder, tmp_path: Path) -> None:
    """In a process of its own, which a write past memory would end."""
    saved = folder.read_state()
    saved["loop"]["optimizer"]["state"][0]["exp_avg_sq"] = torch.zeros(1).expand(2, 3)
    folder.write_state(saved)  # type: ignore[arg-type]
    script = (
        "import sys; sys.path.insert(0, sys.argv[2])\n"
        "from pathlib import Path\n"
        "from test_checkpoint import a_run, RunFolder, RunError\n"
        "try: a_run(RunFolder.open(Path(sys.argv[1]))).resume()\n"
        "except RunError as problem: print(problem)\n"
    )
    tests = Path(__file__).parent
    done = Process(script, folder.path, tests, cwd=tests, streams=tmp_path / "streams").wait()
    assert done.returncode == 0, done.stderr
    assert "optimizer.state.0.exp_avg_sq is no tensor that lies in memory" in done.stdout
