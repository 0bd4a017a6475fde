import sys
import time

import pytest

from pipeline.costs import Stopwatch, process_age
from pipeline.fingerprint import module_digests
from pipeline.tables import read_table, write_table


@pytest.fixture
def wait(monkeypatch):
    """Lets seconds pass on the clock of `Stopwatch`, which stands still otherwise."""
    now = [100.0]
    monkeypatch.setattr("pipeline.costs.time.perf_counter", lambda: now[0])
    return lambda seconds: now.append(now.pop() + seconds)


def test_a_cause_within_another_is_counted_once(wait):
    clock = Stopwatch()
    with clock("compute"):
        wait(2)
        with clock("tables"):
            wait(4)
        wait(3)
    wait(1)
    row = clock.row("predict")
    assert row["seconds_by_cause"] == {"imports": 0, "load": 0, "compute": 5, "tables": 4, "other": 1}
    assert row["seconds"] == 10


def test_the_time_of_a_block_that_fails_is_counted(wait):
    clock = Stopwatch()
    with pytest.raises(KeyError), clock("load"):
        wait(3)
        raise KeyError
    assert clock.row("predict")["seconds_by_cause"]["load"] == 3


def test_an_unknown_cause_is_refused():
    with pytest.raises(ValueError, match="no cause is called 'loading'"), Stopwatch()("loading"):
        pass


def test_the_row_is_a_row_of_the_table_of_costs(tmp_path):
    clock = Stopwatch()
    clock.count(40)
    clock.count(2)
    row = clock.row("predict", study="default", classifier="smile-cnn", part="part-000", rows=7, rows_computed=3)
    write_table(tmp_path / "costs.parquet", "costs", [row], {"stage": "predict"})
    (kept,) = read_table(tmp_path / "costs.parquet", "costs").to_pylist(maps_as_pydicts="strict")
    assert kept == row
    assert kept["row_id"] == "predict/default/smile-cnn/part-000"
    assert kept["network_evaluations"] == 42 and kept["device"].startswith("cpu, ")
    assert kept["peak_memory_bytes"] > 10 * 2**20 and kept["peak_device_memory_bytes"] is None
    assert {"python", "numpy", "pyarrow"} <= kept["versions"].keys()
    assert (
        kept["modules"]["pipeline.tables.schemas"]
        == module_digests(["pipeline.tables.schemas"])["pipeline.tables.schemas"]
    )
    assert "pipeline.costs" not in kept["modules"]  # it decides nothing


@pytest.mark.skipif(sys.platform != "linux", reason="only Linux tells when a process began")
def test_the_age_of_the_process_grows_from_its_start():
    first = process_age()
    time.sleep(0.05)
    assert 0 < first < process_age()
