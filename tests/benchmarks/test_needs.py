from importlib.metadata import PackageNotFoundError

import pytest

from benchmarks.box import needs

PROJECT = '[project]\ndependencies = ["torch>=2.8", "a_package", "gdown", "old; python_version < \'3\'"]\n'
KNOWN = {"torch": ["numpy", "deep-one>=2", "never; extra == 'gpu'"], "numpy": []}


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
