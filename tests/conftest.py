"""Params that everything can be tried with in seconds, and the paper's network."""

import shutil
import subprocess
import threading
from collections.abc import Callable, Iterator
from http.server import ThreadingHTTPServer
from pathlib import Path
from typing import TYPE_CHECKING, Any

import hypothesis
import pytest
import torch
from ruamel.yaml import YAML

from pigan import config, presets, sections
from pigan.data.sources import transfer
from pigan.training.loop import save_checkpoint, write_state_json
from pigan.training.state import initial_state

if TYPE_CHECKING:
    from playwright.sync_api import Browser

TINY: dict[str, Any] = YAML(typ="safe").load((Path(__file__).parent / "tiny.yaml").read_text(encoding="utf-8"))

BROWSERS = ("chromium", "chromium-browser", "google-chrome")
SLOW = {"cluster", "pretended", "robustness", "stages", "status", "storage", "test_end_to_end.py", "workflow"}

# a busy machine is no failure
hypothesis.settings.register_profile("pigan", deadline=None)
hypothesis.settings.load_profile("pigan")

# every test: one thread, so that runs can be compared bit for bit
torch.set_num_threads(1)


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Files that start engines and stages begin, so that no worker is left with a long one at the end."""
    items.sort(key=lambda item: not SLOW.intersection(item.path.parts))


@pytest.fixture
def on_threads() -> Iterator[Callable[[int], None]]:
    """Sets the number of PyTorch's threads until the test ends."""
    yield torch.set_num_threads
    torch.set_num_threads(1)


def preset(name: str) -> config.Params:
    return config.parse(YAML(typ="safe", pure=True).load(presets.text(name)), name)


@pytest.fixture(scope="session")
def tiny_params() -> config.Params:
    """The demo with little of everything."""
    values = config.merge(preset("demo").model_dump(), TINY)
    stage = {
        "batch_size": 4,
        "lr_generator": 1.0e-3,
        "lr_generator_end": 1.0e-3,
        "lr_discriminator": 1.0e-3,
        "lr_discriminator_end": 1.0e-3,
        "fade_steps": 2,
    }
    values["curriculum"]["stages"] = {"r8": {"steps": 6, **stage}, "r16": {"steps": 5, **stage}}
    values["arms"] = {"baseline": {}, "no-growing": {"curriculum": {"stages": {"r8": {"steps": 0}}}}}
    return config.parse(values, "tiny.yaml")


@pytest.fixture(autouse=True)
def _same_weights_in_every_run() -> None:
    """PyTorch initialises modules from its global generator; the package itself never uses it unseeded."""
    torch.manual_seed(0)


@pytest.fixture
def tiny_file(tiny_params: config.Params, tmp_path: Path) -> Path:
    """The same as a params.yaml."""
    path = tmp_path / "params.yaml"
    YAML().dump(tiny_params.model_dump(), path)
    return path


@pytest.fixture(scope="session")
def paper_model() -> sections.Model:
    """The network of the paper, as the authors train it on CelebA."""
    return preset("celeba").model


@pytest.fixture(scope="session")
def dense_run(tiny_params: config.Params, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A training stage of random weights, dense enough that some rays are opaque and some are not."""
    out, cpu = tmp_path_factory.mktemp("dense") / "r16", torch.device("cpu")
    state = initial_state(tiny_params, cpu, 3)
    with torch.no_grad():
        state.ema.field.density_head.weight.mul_(60)
    write_state_json(tiny_params, "baseline", 0, 16, out, state, "key", 0.0, cpu)
    save_checkpoint(out / "checkpoint.safetensors", tiny_params, state)
    return out


@pytest.fixture(scope="module")
def browser_arguments() -> list[str]:
    """What Chromium is started with, besides."""
    return []


@pytest.fixture(scope="module")
def browser(browser_arguments: list[str]) -> Iterator["Browser"]:
    """Chromium without a window; a machine without it skips these tests."""
    found = next(filter(None, map(shutil.which, BROWSERS)), None)
    if found is None:
        pytest.skip(f"no browser here: looked for {', '.join(BROWSERS)} (on Debian: apt install chromium)")
    # not where only the tests of a GPU are run
    from playwright.sync_api import sync_playwright

    with sync_playwright() as playwright:
        chromium = playwright.chromium.launch(executable_path=found, args=browser_arguments)
        yield chromium
        chromium.close()


@pytest.fixture
def small_disk(tmp_path: Path) -> Iterator[Path]:
    """A disk of 1 MiB that fills up; skipped where nothing may be mounted."""
    place = tmp_path / "disk"
    place.mkdir()
    done = subprocess.run(["mount", "-t", "tmpfs", "-o", "size=1m", "tmpfs", place], capture_output=True, text=True)
    if done.returncode:
        pytest.skip(f"cannot mount a small disk here ({done.stderr.strip()})")
    yield place
    subprocess.run(["umount", "-l", place], check=True)


@pytest.fixture
def serve(monkeypatch: pytest.MonkeyPatch) -> Iterator[Callable[[ThreadingHTTPServer], None]]:
    """Call it to run a server until the test ends; downloads from it neither wait between attempts nor take a proxy."""
    monkeypatch.setattr(transfer, "WAIT_SECONDS", 0.0)
    for name in ("http_proxy", "https_proxy", "all_proxy", "HTTP_PROXY", "HTTPS_PROXY", "ALL_PROXY"):
        monkeypatch.delenv(name, raising=False)
    running: list[tuple[ThreadingHTTPServer, threading.Thread]] = []

    def start(server: ThreadingHTTPServer) -> None:
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02})
        thread.start()
        running.append((server, thread))

    yield start
    for server, thread in running:
        server.shutdown()
        server.server_close()
        thread.join()
