import subprocess
import sys
import zipfile
from importlib.metadata import PackageNotFoundError

import pytest

from benchmarks.box import needs

PROJECT = '[project]\ndependencies = ["torch>=2.8", "known", "a_package", "gdown", "old; python_version < \'3\'"]\n'
KNOWN = {"torch": ["gpu-library"], "numpy": [], "known": ["numpy", "deep-one>=2", "never; extra == 'gpu'"]}


@pytest.fixture
def bare(monkeypatch, tmp_path):
    def requires(name):
        if name not in KNOWN:
            raise PackageNotFoundError(name)
        return KNOWN[name]

    monkeypatch.setattr("importlib.metadata.requires", requires)
    path = tmp_path / "pyproject.toml"
    path.write_text(PROJECT)
    return path


def test_packages_of_packages_are_missed_too(bare):
    assert needs.missing(bare) == ["a-package", "deep-one"]


def test_nothing_is_missing_where_pigan_is_installed():
    assert needs.missing() == []


def test_the_advice_names_the_packages_and_no_place_to_get_them_from():
    told = needs.advice(["a-package"])
    assert "pip download" in told and "--wheels wheels" in told and "a-package" in told
    assert "http" not in told


def test_a_folder_without_wheels_is_refused(tmp_path):
    with pytest.raises(SystemExit, match=r"holds no \.whl"):
        needs.install(tmp_path, tmp_path / "site")


def test_wheels_are_installed_beside_what_is_there(tmp_path):
    folder, about = tmp_path / "wheels", "carried-1.0.dist-info"
    folder.mkdir()
    with zipfile.ZipFile(folder / "carried-1.0-py3-none-any.whl", "w") as wheel:
        wheel.writestr("carried.py", "VALUE = 1\n")
        wheel.writestr(f"{about}/METADATA", "Metadata-Version: 2.1\nName: carried\nVersion: 1.0\n")
        wheel.writestr(
            f"{about}/WHEEL", "Wheel-Version: 1.0\nGenerator: test\nRoot-Is-Purelib: true\nTag: py3-none-any\n"
        )
        wheel.writestr(f"{about}/RECORD", "")
    command = [sys.executable, "-m", "benchmarks.gpu_run", "--needs", "--wheels", folder, "--work", tmp_path / "work"]
    done = subprocess.run(command, cwd=needs.ROOT, capture_output=True, text=True, timeout=120)
    assert done.returncode == 0 and done.stdout == "nothing is missing here\n", done.stderr
    assert (tmp_path / "work/site/carried.py").is_file()
