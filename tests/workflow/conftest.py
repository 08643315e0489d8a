"""Fixtures of the tests of the two engines."""

import pytest

from pipeline_tree import TreeMaker


@pytest.fixture(scope="session")
def make_tree(tmp_path_factory: pytest.TempPathFactory) -> TreeMaker:
    """Call it with a name for a fresh copy of the pipeline."""
    return TreeMaker(tmp_path_factory.mktemp("pipeline"))
