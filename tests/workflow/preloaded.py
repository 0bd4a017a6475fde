"""Processes that fork from one in which slow libraries are imported, so that a job of a tiny study starts at once.

`Preloaded.start` gives a folder for the front of PATH whose `python` has `python -m ...` run in such a process: with
its own working directory, environment, arguments and files, and with the project's code as it stands there, which is
never imported beforehand. `python -u -c ...`, by which pytest-xdist starts the processes that test, forks too.
"""

import contextlib
import gc
import json
import os
import runpy
import signal
import socket
import subprocess
import sys
import threading
import time
import traceback
from dataclasses import dataclass
from importlib import import_module
from pathlib import Path
from typing import NoReturn

LIBRARIES = (
    "torch", "torchvision", "pyarrow.parquet", "pyarrow.compute", "polars", "pydantic", "typer", "rich", "PIL.Image",
    "safetensors.torch", "scipy.stats", "sklearn.metrics", "captum.attr", "matplotlib.figure",
    "matplotlib.backends.backend_svg", "jinja2", "yaml", "snakemake.cli", "torch._dynamo", "timm", "torchmetrics",
    "diffusers.models.unets.unet_2d", "datasets", "onnxruntime", "onnxscript", "skimage.metrics",
    "jsonschema",
)  # fmt: skip
KILLED = 137  # what a shell says of a process that was killed
CLIENT = """#!{python} -IS
import json, os, socket, sys
if sys.argv[1:2] != ["-m"] and sys.argv[1:3] != ["-u", "-c"]:
    os.execv({python!r}, [{python!r}, *sys.argv[1:]])
with socket.socket(socket.AF_UNIX) as server:
    server.connect({address!r})
    socket.send_fds(server, [b"."], [0, 1, 2])
    asked = dict(arguments=sys.argv[1:], folder=os.getcwd(), environment=dict(os.environ))
    server.sendall(json.dumps(asked).encode() + b"\\0")
    status = server.recv(8)
sys.exit(int(status) if status else {killed})
"""


@dataclass(frozen=True)
class Preloaded:
    """A server that others may share; `folder` holds its socket and its `python`."""

    folder: Path

    @classmethod
    def start(cls, folder: Path, owner: int) -> "Preloaded":
        """The server of a folder, which is started by whoever comes first and ends with the process `owner`."""
        with contextlib.suppress(FileExistsError):
            folder.mkdir()
            program = folder / "python"
            program.write_text(CLIENT.format(python=sys.executable, address=str(folder / "socket"), killed=KILLED))
            program.chmod(0o755)
            with open(folder / "log", "w") as log:
                subprocess.Popen(
                    [sys.executable, __file__, str(folder / "socket"), str(owner)],
                    env={**os.environ, "OMP_NUM_THREADS": "1"},
                    stdin=subprocess.DEVNULL,
                    stdout=log,
                    stderr=log,
                    start_new_session=True,
                )
        deadline = time.monotonic() + 900
        while not (folder / "socket").exists():
            assert time.monotonic() < deadline, (folder / "log").read_text(encoding="utf-8")
            time.sleep(0.05)
        return cls(folder)

    @property
    def python(self) -> str:
        """What to call instead of this process's interpreter."""
        return str(self.folder / "python")

    def environment(self) -> dict[str, str]:
        """The environment of a run whose jobs fork, on the CPU with one thread."""
        path = [str(self.folder), str(Path(sys.executable).parent), os.environ["PATH"]]
        return {
            **os.environ,
            "PATH": os.pathsep.join(path),
            "COUNTERFACTORY_DEVICE": "cpu",
            "OMP_NUM_THREADS": "1",
        }


def serve(address: str, owner: int) -> None:
    """Answer calls until the owner is gone."""
    for library in LIBRARIES:
        import_module(library)
    import_module("snakemake.cli").get_argument_parser()  # loads the plugins
    gc.freeze()
    signal.signal(signal.SIGCHLD, signal.SIG_IGN)
    threading.Thread(target=end_with, args=(owner,), daemon=True).start()
    with socket.socket(socket.AF_UNIX) as listener:
        listener.bind(address + ".new")
        listener.listen(64)
        os.rename(address + ".new", address)
        while True:
            caller, _ = listener.accept()
            if os.fork() == 0:
                signal.signal(signal.SIGCHLD, signal.SIG_DFL)
                listener.close()
                answer(caller)
            caller.close()


def end_with(owner: int) -> None:
    """End this process and all that it started, once another has ended."""
    while Path(f"/proc/{owner}").exists():
        time.sleep(0.5)
    os.killpg(0, signal.SIGKILL)


def die_with(caller: socket.socket) -> None:
    """Kill this process when whoever called it is killed."""
    caller.recv(1)
    os.kill(os.getpid(), signal.SIGKILL)


def answer(caller: socket.socket) -> None:
    """Run what is asked for as `python -m` would, tell its exit status, and end."""
    _, files, *_ = socket.recv_fds(caller, 1, 3)
    for number, file in enumerate(files):
        os.dup2(file, number)
        os.close(file)
    said = b""
    while not said.endswith(b"\0"):
        said += caller.recv(2**16)
    asked = json.loads(said[:-1])
    threading.Thread(target=die_with, args=(caller,), daemon=True).start()
    leave = os._exit

    def end(status: int) -> NoReturn:
        with contextlib.suppress(OSError, ValueError):
            sys.stdout.flush()
            sys.stderr.flush()
        with contextlib.suppress(OSError):
            caller.sendall(str(status).encode())
        leave(status)

    def become(program: str, arguments: list[str], environment: dict[str, str]) -> NoReturn:
        """Run another module in place of this one, as `os.execve` would."""
        os.environ.clear()
        os.environ.update(environment)
        sys.argv = arguments[2:]
        try:
            runpy.run_module(sys.argv[0], run_name="__main__", alter_sys=True)
            end(0)
        except SystemExit as ended:
            if isinstance(ended.code, str):
                print(ended.code, file=sys.stderr)
            end(ended.code if isinstance(ended.code, int) else int(ended.code is not None))
        except BaseException:
            traceback.print_exc()
            end(1)

    os.chdir(asked["folder"])
    sys.stdin = os.fdopen(0, closefd=False)
    sys.stdout, sys.stderr = (os.fdopen(number, "w", closefd=False) for number in (1, 2))
    if asked["arguments"][0] == "-u":
        os.environ.clear()
        os.environ.update(asked["environment"])
        exec(asked["arguments"][2], {"__name__": "__main__"})
        end(0)
    os._exit, os.execve = end, become
    sys.path[0] = asked["folder"]
    sys.executable = str(Path(caller.getsockname()).with_name("python"))
    become(sys.executable, [sys.executable, *asked["arguments"]], asked["environment"])


if __name__ == "__main__":
    serve(sys.argv[1], int(sys.argv[2]))
