"""What holds for all tests."""

import os

import pytest

from pipeline.commands.holder import RUN


@pytest.fixture(autouse=True)
def no_run_of_another_test():
    """Forget the run that a test began in this process: jobs of later tests would be taken for its orphans."""
    yield
    os.environ.pop(RUN, None)
