"""What holds for all tests."""

import gc
import os

import pytest

from pipeline.commands.holder import RUN
from tests.workflow.preloaded import Preloaded


@pytest.hookimpl(optionalhook=True)
def pytest_xdist_setupnodes(config, specs):
    """Have the processes that test fork from one in which slow libraries are imported, once for all."""
    preloaded = Preloaded.start(config._tmp_path_factory.getbasetemp() / "preloaded", os.getpid())
    for spec in specs:
        spec.python = preloaded.python


@pytest.fixture(autouse=True)
def no_run_of_another_test():
    """Forget the run that a test began in this process: jobs of later tests would be taken for its orphans."""
    yield
    os.environ.pop(RUN, None)


def pytest_collection_finish():
    """Leave what was collected out of all later searches for garbage, of which there are many."""
    gc.freeze()


def pytest_collection_modifyitems(items):
    """Whole workflows take longest and go first, that on a cluster before all: it mostly waits."""
    items.sort(key=lambda item: (item.path.name != "test_slurm.py", "workflow" not in item.path.parts))
