"""What holds for all tests."""

import os

import pytest

from pipeline.commands.holder import RUN


@pytest.fixture(autouse=True)
def no_run_of_another_test():
    """Forget the run that a test began in this process: jobs of later tests would be taken for its orphans."""
    yield
    os.environ.pop(RUN, None)


def pytest_collection_modifyitems(items):
    """Whole workflows take longest and go first, that on a cluster before all: it mostly waits."""
    items.sort(key=lambda item: (item.path.name != "test_slurm.py", "workflow" not in item.path.parts))
