"""python -m pipeline <stage> ...: every stage of the workflow is a command that a person can run too."""

import os
import sys
from collections.abc import Callable
from functools import wraps
from importlib import import_module
from inspect import signature
from typing import Annotated

import typer
from typer.core import TyperGroup

from pipeline.errors import UserError, nearest
from pipeline.stages import STAGES


class Stages(TyperGroup):
    """The stages as commands; a stage's module is imported only when it is called: some take seconds to import."""

    def list_commands(self, context):
        return list(STAGES)

    def get_command(self, context, name):
        if name not in STAGES:
            close = nearest(name, STAGES)
            hint = f"did you mean {close}?" if close else f"there are {', '.join(STAGES)}."
            raise UserError(f"there is no stage {name}; {hint}")
        stage = typer.Typer(add_completion=False, pretty_exceptions_enable=False)
        stage.command(name)(with_options(getattr(import_module(f"pipeline.stages.{name}"), name)))
        return typer.main.get_command(stage)

    def format_commands(self, context, formatter):
        with formatter.section("Stages"):
            formatter.write_dl(list(STAGES.items()))


def with_options(stage: Callable) -> Callable:
    """The stage as a function that Typer gives an option for every parameter, required ones too."""

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


app = typer.Typer(cls=Stages, add_completion=False, rich_markup_mode=None, no_args_is_help=True)


@app.callback()
def pipeline():
    """Counterfactual explanations of image classifiers, generated and measured: the stages of the workflow."""


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
        app(repeat_options(sys.argv[1:]), prog_name="python -m pipeline")
    except UserError as error:
        print(error, file=sys.stderr)
        if not os.path.sameopenfile(sys.stdout.fileno(), sys.stderr.fileno()):
            # A rule keeps standard error as its log; the person at the terminal must see the sentence too.
            print(error)
        return 2
    return 0


if __name__ == "__main__":
    sys.exit(main())
