import subprocess
import sys
import time

import pytest

from pipeline.costs import Stopwatch, process_age
from pipeline.fingerprint import module_digests
from pipeline.tables import read_table, write_table


def test_a_cause_within_another_is_counted_once():
    clock = Stopwatch()
    with clock("compute"):
        time.sleep(0.02)
        with clock("tables"):
            time.sleep(0.04)
        time.sleep(0.02)
    time.sleep(0.01)
    row = clock.row("predict")
    spent = row["seconds_by_cause"]
    assert spent["compute"] >= 0.04 and spent["tables"] >= 0.04 and spent["load"] == 0 and spent["other"] >= 0.01
    assert sum(spent.values()) == pytest.approx(row["seconds"], abs=0.005)


def test_the_time_of_a_block_that_fails_is_counted():
    clock = Stopwatch()
    with pytest.raises(KeyError), clock("load"):
        time.sleep(0.01)
        raise KeyError
    assert clock.row("predict")["seconds_by_cause"]["load"] >= 0.01


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
    program = "import time, pipeline.costs as c; one = c.process_age(); time.sleep(.05); print(one, c.process_age())"
    before = time.perf_counter()
    output = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True).stdout
    waited = time.perf_counter() - before
    one, other = map(float, output.split())
    assert 0 <= one < waited + 0.02 and other - one > 0.04
    assert process_age() > 0
