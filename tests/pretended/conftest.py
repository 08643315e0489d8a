"""GPUs that compute nothing, for what a program does around their kernels."""

import subprocess
import sys
from pathlib import Path

import pytest

from benchmarks import pretended
from benchmarks.pretended.build import CannotBeBuilt, build

ROOT, SECONDS = Path(__file__).parents[2], 600


class PretendedGpu:
    """Runs Python in processes that see two such GPUs."""

    def __init__(self, environment: dict[str, str]) -> None:
        self.environment = {**environment, "OMP_NUM_THREADS": "1", "PYTHONPATH": str(ROOT)}

    def script(self, path: Path, *arguments: str, cwd: Path | None = None) -> "subprocess.CompletedProcess[str]":
        """A script; fails with what it said."""
        command = [sys.executable, str(path), *arguments]
        done = subprocess.run(
            command, env=self.environment, cwd=cwd, capture_output=True, text=True, timeout=SECONDS, check=False
        )
        assert done.returncode == 0, f"{arguments}: exit {done.returncode}\n{done.stdout}{done.stderr}"
        return done

    def pigan(self, *arguments: str, cwd: Path) -> "subprocess.CompletedProcess[str]":
        """A command of pigan."""
        return self.script(Path(pretended.__file__).with_name("command.py"), *arguments, cwd=cwd)


@pytest.fixture(scope="session")
def pretended_gpu(tmp_path_factory: pytest.TempPathFactory) -> PretendedGpu:
    """Skipped where it cannot be built; a real GPU is for the marked tests."""
    try:
        return PretendedGpu(build(tmp_path_factory.mktemp("pretended")))
    except CannotBeBuilt as error:
        pytest.skip(str(error))
