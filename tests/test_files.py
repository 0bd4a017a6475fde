import os
import subprocess
import sys
import textwrap
import time

import pytest

from pipeline.files import ABANDONED_AFTER, appearing


def test_a_file_appears_when_it_is_complete(tmp_path):
    path = tmp_path / "new" / "table.txt"
    with appearing(path) as hidden:
        hidden.write_text("whole")
        assert not path.exists()
    assert path.read_text() == "whole" and os.listdir(path.parent) == ["table.txt"]


def test_an_error_leaves_what_was_there(tmp_path):
    path = tmp_path / "table.txt"
    path.write_text("old")
    with pytest.raises(KeyError), appearing(path) as hidden:
        hidden.write_text("half")
        raise KeyError
    assert path.read_text() == "old" and os.listdir(tmp_path) == ["table.txt"]


def test_a_killed_process_leaves_no_visible_file_and_its_rest_is_removed_later(tmp_path):
    program = textwrap.dedent(f"""
        import os, pathlib, signal
        from pipeline.files import appearing
        with appearing(pathlib.Path({str(tmp_path / "table.txt")!r})) as hidden:
            hidden.write_text("half")
            os.kill(os.getpid(), signal.SIGKILL)
    """)
    assert subprocess.run([sys.executable, "-c", program]).returncode == -9
    (leftover,) = tmp_path.iterdir()
    assert leftover.name.startswith(".table.txt.")

    with appearing(tmp_path / "other.txt") as hidden:
        hidden.touch()
    assert leftover.exists(), "it may belong to a process that is still writing"
    long_ago = time.time() - ABANDONED_AFTER - 1
    os.utime(leftover, (long_ago, long_ago))
    with appearing(tmp_path / "other.txt") as hidden:
        hidden.touch()
    assert os.listdir(tmp_path) == ["other.txt"]
