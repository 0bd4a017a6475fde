"""python -m pipeline <command> ...: what a person asks of the workflow, and every stage of it."""

import ctypes
import os
import sys
from collections.abc import Callable
from functools import wraps
from importlib import import_module
from inspect import signature
from pathlib import Path
from typing import Annotated

import typer
from typer.core import TyperGroup

from pipeline.commands import COMMANDS
from pipeline.commands.holder import RESULTS, join
from pipeline.errors import UserError, lacking, nearest

# Threads of torch that wait for each other must not spin, which takes two thirds of the time where cores are shared.
os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")

HOME = Path(__file__).parent
M_TRIM_THRESHOLD, M_MMAP_MAX = -1, -4  # of glibc's mallopt


def is_stage(name: str) -> bool:
    """Whether there is a stage of that name; tells without reading the declarations, which takes half a second."""
    return all((HOME / home / f"{name}.py").exists() for home in ("stages", "workflow"))


def stages_told() -> dict[str, str]:
    """What each stage does."""
    from pipeline.workflow import stages

    return {name: stage.says for name, stage in stages().items()}


class Commands(TyperGroup):
    """Commands and stages; a module is imported only when it is called: some take seconds to import."""

    def list_commands(self, context):
        return [*COMMANDS, *stages_told()]

    def get_command(self, context, name):
        if name not in COMMANDS and not is_stage(name):
            known = [*COMMANDS, *stages_told()]
            close = nearest(name, known)
            hint = f"did you mean {close}?" if close else f"there are {', '.join(known)}."
            raise UserError(f"there is no command or stage {name}; {hint}")
        home = "commands" if name in COMMANDS else "stages"
        if home == "stages":
            join(RESULTS)
        called = typer.Typer(add_completion=False, pretty_exceptions_enable=False)
        called.command(name)(with_options(getattr(import_module(f"pipeline.{home}.{name}"), name)))
        return typer.main.get_command(called)

    def format_commands(self, context, formatter):
        for heading, named in (("Commands", COMMANDS), ("Stages", stages_told())):
            with formatter.section(heading):
                formatter.write_dl(list(named.items()))


def with_options(stage: Callable) -> Callable:
    """A stage or command as a function that Typer gives an option for every parameter, required ones too."""

    @wraps(stage)
    def command(**values):
        return stage(**values)

    parameters = signature(stage, eval_str=True).parameters.values()
    named = [
        each.replace(annotation=Annotated[each.annotation, typer.Option()], kind=each.KEYWORD_ONLY)
        for each in parameters
    ]
    command.__signature__ = signature(stage).replace(parameters=named)
    command.__annotations__ = {each.name: each.annotation for each in named}
    return command


app = typer.Typer(cls=Commands, add_completion=False, rich_markup_mode=None, no_args_is_help=True)


@app.callback()
def pipeline():
    """Counterfactual explanations of image classifiers, generated and measured."""
    keep_freed_memory()


def keep_freed_memory() -> None:
    """Let freed arrays stay with the process, where the allocator is glibc's.

    Given back and faulted in anew for every feature map, they take a fifth of a U-Net's time on a CPU.
    """
    if mallopt := getattr(ctypes.CDLL(None), "mallopt", None):
        mallopt(M_MMAP_MAX, 0)
        mallopt(M_TRIM_THRESHOLD, -1)


def repeat_options(arguments: list[str]) -> list[str]:
    """Spell `--images a b` as `--images a --images b`: a rule passes a list of files as Snakemake writes it."""
    spelled: list[str] = []
    option = None
    for argument in arguments:
        if argument == "--help" or (argument.startswith("--") and "=" in argument):
            spelled.append(argument)
            option = argument.partition("=")[0] if "=" in argument else None
        elif argument.startswith("--"):
            option = argument
        elif option is None:
            spelled.append(argument)
        else:
            spelled += [option, argument]
    return spelled


def main() -> int:
    try:
        arguments = sys.argv[1:]
        spelled = repeat_options(arguments) if any(map(is_stage, arguments[:1])) else arguments
        app(spelled, prog_name="python -m pipeline")
    except Exception as error:
        sentence = str(error) if isinstance(error, UserError) else lacking(error)
        if sentence is None:
            raise
        print(sentence, file=sys.stderr)
        if not os.path.sameopenfile(sys.stdout.fileno(), sys.stderr.fileno()):
            # A rule keeps standard error as its log; the person at the terminal must see the sentence too.
            print(sentence)
        return 2
    return 0


if __name__ == "__main__":
    exit_status = main()
    sys.stdout.flush()
    sys.stderr.flush()
    # All files are closed; taking apart what torch has loaded would only take another second.
    os._exit(exit_status)
