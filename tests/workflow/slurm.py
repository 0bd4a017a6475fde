"""A SLURM cluster of one node on this machine, with two pretend cards: started, used and stopped without a trace."""

import contextlib
import os
import re
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

COMMANDS = ("munged", "slurmctld", "slurmd", "sbatch", "srun", "squeue", "scancel", "scontrol", "sinfo")
PACKAGES = "slurmctld slurmd slurm-client munge"
START_SECONDS, STOP_SECONDS = 30.0, 10.0
CARDS = {"card0": 3, "card1": 5}  # /dev/null and /dev/zero under other names: SLURM takes any device for a card

CONFIGURATION = """
ClusterName=test
SlurmctldHost={host}(127.0.0.1)
SlurmctldPort={controller_port}
SlurmdPort={node_port}
SlurmUser=root
SlurmdUser=root
AuthType=auth/munge
AuthInfo=socket={folder}/munge.socket
StateSaveLocation={folder}/state
SlurmdSpoolDir={folder}/spool
SlurmctldPidFile={folder}/slurmctld.pid
SlurmdPidFile={folder}/slurmd.pid
SlurmctldLogFile={folder}/slurmctld.log
SlurmdLogFile={folder}/slurmd.log
TaskProlog={folder}/task_prolog
ProctrackType=proctrack/linuxproc
TaskPlugin=task/none
JobAcctGatherType=jobacct_gather/none
AccountingStorageType=accounting_storage/none
SelectType=select/cons_tres
SelectTypeParameters=CR_Core_Memory
GresTypes=gpu
MpiDefault=none
ReturnToService=2
MinJobAge=600
SlurmdParameters=config_overrides
SchedulerParameters=sched_interval=1,batch_sched_delay=0
NodeName={host} NodeAddr=127.0.0.1 CPUs=4 RealMemory=64000 Gres=gpu:{cards} State=UNKNOWN
PartitionName=main Nodes=ALL Default=YES MaxTime=INFINITE State=UP
PartitionName=cards Nodes=ALL MaxTime=INFINITE State=UP
"""
# The job step keeps no variable that tells where the configuration is.
SRUN = """#!/bin/sh
SLURM_CONF={folder}/slurm.conf exec {srun} "$@"
"""
# Ends the cluster of a test process that was killed: its end of the pipe closes with it.
GUARD = """
read -r nothing
SLURM_CONF={folder}/slurm.conf scancel --user=root
sleep 3
for daemon in slurmd slurmctld munged; do kill "$(cat {folder}/$daemon.pid)"; done
sleep 3
rm -rf {folder}
"""
TASK_PROLOG = """#!/bin/sh
echo "$SLURM_JOB_ID ${{CUDA_VISIBLE_DEVICES:-none}}" >> {folder}/cards.txt
"""


class Unavailable(Exception):
    """Why this machine cannot have a cluster of its own, in a sentence."""


@dataclass(frozen=True)
class Job:
    """A job as the controller tells it: state such as COMPLETED, the rule in Snakemake's words, what was asked for."""

    number: str
    state: str
    rule: str
    partition: str
    minutes: int
    memory_mb: int
    cards: int


@dataclass(frozen=True)
class Cluster:
    """A running cluster; its partitions are `main`, the default, and `cards`."""

    folder: Path

    @property
    def environment(self) -> dict[str, str]:
        """The environment in which SLURM's commands and Snakemake find this cluster alone, and jobs this Python."""
        kept = {key: value for key, value in os.environ.items() if not key.startswith(("SLURM_", "SBATCH_"))}
        paths = [self.folder / "bin", Path(sys.executable).parent, os.environ["PATH"]]
        return {**kept, "PATH": os.pathsep.join(map(str, paths)), "SLURM_CONF": str(self.folder / "slurm.conf")}

    def tell(self, *command: str) -> str:
        """Run one of SLURM's commands and return what it printed."""
        asked = subprocess.run(command, env=self.environment, capture_output=True, text=True, timeout=60, check=True)
        return asked.stdout

    def jobs(self) -> list[Job]:
        """All jobs of the cluster's life, in the order in which they were submitted."""
        told = [line for line in self.tell("scontrol", "show", "job", "--oneliner").splitlines() if "JobId=" in line]
        return sorted(map(read_job, told), key=lambda job: int(job.number))

    def cards(self) -> dict[str, set[str]]:
        """The cards that the tasks of each job could see (CUDA_VISIBLE_DEVICES, or `none`), by the job's number."""
        seen: dict[str, set[str]] = {}
        for line in (self.folder / "cards.txt").read_text().splitlines():
            number, card = line.split()
            seen.setdefault(number, set()).add(card)
        return seen


def read_job(line: str) -> Job:
    """Read a line of `scontrol show job --oneliner`."""
    fields = dict(re.findall(r"(\w+)=(\S+)", line))
    asked = dict(pair.split("=") for pair in fields["TRES"].split(",") if "=" in pair)
    days, _, clock = fields["TimeLimit"].rpartition("-")
    hours, minutes, _ = map(int, clock.split(":"))
    return Job(
        number=fields["JobId"],
        state=fields["JobState"],
        rule=fields["Comment"].removeprefix("rule_"),
        partition=fields["Partition"],
        minutes=(int(days or 0) * 24 + hours) * 60 + minutes,
        memory_mb=megabytes(asked["mem"]),
        cards=int(fields.get("TresPerJob", fields.get("TresPerNode", "gres:gpu:0")).removeprefix("gres:gpu:")),
    )


def megabytes(text: str) -> int:
    return round(float(text[:-1]) * {"M": 1, "G": 1024}[text[-1]])


@contextlib.contextmanager
def cluster() -> Iterator[Cluster]:
    """Start a cluster for as long as the block runs; raises Unavailable where that cannot or must not be.

    All that it writes is in a folder that goes with it. A controller that this machine has already is left alone.
    """
    refuse_where_impossible()
    folder = Path(tempfile.mkdtemp(prefix="slurm-"))
    started = Cluster(folder)
    guard = subprocess.Popen(
        ["sh", "-c", GUARD.format(folder=folder)],
        stdin=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        start_new_session=True,
    )
    try:
        write_files(folder)
        for command in daemons(folder):
            subprocess.run(command, env=started.environment, check=True, capture_output=True, timeout=START_SECONDS)
        wait_until(lambda: is_idle(started), START_SECONDS, last_words(folder))
        yield started
    finally:
        stop(started)
        guard.kill()
        guard.communicate()
        shutil.rmtree(folder, ignore_errors=True)


def is_idle(started: Cluster) -> bool:
    """Whether the controller answers and its node waits for jobs."""
    with contextlib.suppress(subprocess.CalledProcessError):
        return "idle" in started.tell("sinfo", "--noheader", "--format=%T")
    return False


def refuse_where_impossible() -> None:
    missing = [command for command in COMMANDS if shutil.which(command) is None]
    if missing:
        raise Unavailable(f"there is no {missing[0]} on this machine; install the Debian packages {PACKAGES}")
    if os.geteuid() != 0:
        raise Unavailable("a SLURM node can only be started by root")
    pinged = subprocess.run(["scontrol", "ping"], capture_output=True, text=True, timeout=60)
    if " is UP" in pinged.stdout:
        raise Unavailable("a SLURM controller answers on this machine already, and is left alone")
    with tempfile.TemporaryDirectory() as folder:
        try:
            os.mknod(f"{folder}/card", 0o20666, os.makedev(1, 3))
        except OSError as error:
            raise Unavailable(f"no pretend card can be made here ({error.strerror})") from None


def write_files(folder: Path) -> None:
    """Write the configuration, a key, the pretend cards and the scripts that SLURM calls."""
    for name in ("state", "spool", "bin", "devices"):
        (folder / name).mkdir()
    for card, number in CARDS.items():
        os.mknod(folder / "devices" / card, 0o20666, os.makedev(1, number))
    controller_port, node_port = free_ports()
    host = socket.gethostname().partition(".")[0]
    told = {"controller_port": controller_port, "node_port": node_port, "host": host, "cards": len(CARDS)}
    (folder / "slurm.conf").write_text(CONFIGURATION.format(folder=folder, **told))
    (folder / "gres.conf").write_text(f"NodeName={host} Name=gpu File={folder}/devices/card[0-{len(CARDS) - 1}]\n")
    (folder / "cgroup.conf").write_text("IgnoreSystemd=yes\n")
    (folder / "munge.key").write_bytes(os.urandom(128))
    (folder / "munge.key").chmod(0o400)
    (folder / "cards.txt").touch()
    write_script(folder / "task_prolog", TASK_PROLOG.format(folder=folder))
    write_script(folder / "bin" / "srun", SRUN.format(folder=folder, srun=shutil.which("srun")))


def write_script(path: Path, text: str) -> None:
    path.write_text(text)
    path.chmod(0o755)


def free_ports() -> tuple[int, int]:
    """Two ports that nothing on this machine listens on."""
    with socket.socket() as first, socket.socket() as second:
        first.bind(("127.0.0.1", 0))
        second.bind(("127.0.0.1", 0))
        return first.getsockname()[1], second.getsockname()[1]


def daemons(folder: Path) -> list[list[str]]:
    """The commands that start the three daemons; each goes to the background and writes its process number."""
    munge = {"socket": "munge.socket", "key-file": "munge.key", "pid-file": "munged.pid"}
    munge |= {"log-file": "munged.log", "seed-file": "munge.seed"}
    return [
        ["munged", "--force", *(f"--{option}={folder}/{name}" for option, name in munge.items())],
        ["slurmctld", "-c"],
        ["slurmd", "-c"],
    ]


def last_words(folder: Path) -> Callable[[], str]:
    """A function that returns the ends of the daemons' logs."""
    return lambda: "\n".join(path.read_text()[-1000:] for path in sorted(folder.glob("*.log")))


def stop(started: Cluster) -> None:
    """End the jobs that still run and the daemons that were started, and wait until they are gone."""
    pids = {name: started.folder / f"{name}.pid" for name in ("slurmd", "slurmctld", "munged")}
    if pids["slurmctld"].exists():
        with contextlib.suppress(subprocess.SubprocessError):
            started.tell("scancel", "--user=root")
            wait_until(lambda: not started.tell("squeue", "--noheader"), STOP_SECONDS, str)
    end([int(path.read_text()) for path in pids.values() if path.exists()])
    end(started_under(started.folder))


def started_under(folder: Path) -> list[int]:
    """Processes whose environment names the folder of a cluster: what is left of jobs that were cancelled."""
    found = []
    for process in Path("/proc").glob("[0-9]*"):
        with contextlib.suppress(OSError):
            if str(folder).encode() in (process / "environ").read_bytes() and int(process.name) != os.getpid():
                found.append(int(process.name))
    return found


def end(processes: list[int]) -> None:
    """Ask processes to end; kill those that do not."""
    for asked in (signal.SIGTERM, signal.SIGKILL):
        for process in processes:
            with contextlib.suppress(ProcessLookupError):
                os.kill(process, asked)
        with contextlib.suppress(TimeoutError):
            wait_until(lambda: not any(map(is_running, processes)), STOP_SECONDS, str)
            return


def is_running(process: int) -> bool:
    """Whether a process is there and more than an entry that its parent has not read yet."""
    with contextlib.suppress(FileNotFoundError, ProcessLookupError):
        return Path(f"/proc/{process}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    return False


def wait_until(found: Callable, seconds: float, otherwise: Callable[[], str]):
    """Call `found` until it returns something true, and return that; raises TimeoutError with what `otherwise` says."""
    until = time.monotonic() + seconds
    while not (result := found()):
        if time.monotonic() > until:
            raise TimeoutError(f"nothing within {seconds:.0f} s; {otherwise()}")
        time.sleep(0.2)
    return result
