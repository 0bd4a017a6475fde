"""Tell what a study will take before anything runs: jobs, rows, network evaluations, time, storage."""

from collections.abc import Iterator, Sequence
from dataclasses import replace

from pipeline.commands.files import show_files
from pipeline.commands.needed import network_of
from pipeline.commands.shown import in_bytes, in_words, show
from pipeline.commands.speed import measure_speed, read_speed, speed_file, write_speed
from pipeline.commands.there import There
from pipeline.fingerprint import canonical_json
from pipeline.study import EXPLAINING, load_study
from pipeline.study.estimate import SIDE, Estimate, Passes, Work
from pipeline.study.files import files_of
from pipeline.study.fitting import check_methods
from pipeline.study.gpus import LAUNCH_SECONDS, ROWS_AT_ONCE, UTILISATION, Gpu, find_gpu
from pipeline.study.measured import Measured, Rate, png_bytes_per_pixel
from pipeline.study.plan import RESULTS, Plan
from pipeline.study.timing import Speed, Timing

COLUMNS = (
    "stage",
    "jobs",
    "there",
    "rows",
    "there",
    "evaluations",
    "with backward",
    "time here",
    "tables",
    "row store",
)
UNKNOWN, NONE = "?", "-"


def plan(study: str = "default", gpu: str | None = None, measure: bool = False) -> None:
    """Tell what a study will take, and what of it is there already; nothing is computed.

    --study: its name, or the path of its file. --gpu: also the time on a card of that name, such as H100. --measure:
    time one batch of every network first (takes seconds and imports torch), and keep that for later plans.
    """
    card = find_gpu(gpu) if gpu else None
    planned = Plan(load_study(study))
    check_methods(planned)
    estimate = Estimate(planned, png_bytes_per_pixel(RESULTS, planned.study.dataset.model_dump()))
    identities = {name: canonical(network_of(planned, name)) for name in [*planned.networks, *planned.generators]}
    known = speeds(planned, identities, estimate.side, measure)
    timing = Timing(Measured(RESULTS), known, identities, estimate.side, frozenset(planned.generators))
    stages, there = estimate.work(), There(planned)
    show_work(stages, there, timing, card, f"Study {planned.study.study}")
    for line in notes(stages, there, timing, card, estimate):
        print(line)
    if wanted := files_of(study):
        print()
        show_files(wanted)


def canonical(identity: dict | None) -> str | None:
    return None if identity is None else canonical_json(identity)


def speeds(planned: Plan, identities: dict[str, str | None], side: int, measure: bool) -> dict[str, Speed]:
    """What is known of the speed of each network; with `measure`, of all whose files are there."""
    known = {}
    for name, identity in identities.items():
        if identity is None:
            continue
        path = speed_file(RESULTS, identity, side)
        if measure:
            of_generator = name in planned.generators
            write_speed(path, measure_speed(name, planned.entry(name), planned.study.seed, side, of_generator))
        speed = read_speed(path)
        if speed is not None:
            known[name] = speed
    return known


def show_work(stages: Sequence[Work], there: There, timing: Timing, card: Gpu | None, heading: str) -> None:
    """Print one line for each stage, below those that explain one for each method, and the total."""
    columns = list(COLUMNS)
    if card:
        columns.insert(columns.index("time here") + 1, f"on {card.name}")
    lines = []
    for work in stages:
        lines.append(stage_cells(work, there, timing, card))
        if work.stage in EXPLAINING:
            left = there.left(work)
            lines += [method_cells(method, work, left, timing, card) for method in methods_of(work)]
    lines.append(total_cells(stages, there, timing, card))
    show(heading, columns, lines, numbers=columns[1:])


def stage_cells(work: Work, there: There, timing: Timing, card: Gpu | None) -> list[str]:
    left = there.left(work)
    jobs = [f"{work.jobs:,}", f"{work.jobs - left.jobs:,}"]
    times = [told(timing.here(work)), *([told_on(timing.on(card, work))] if card else [])]
    sizes = [in_bytes(work.table_bytes) if work.table_bytes else NONE]
    sizes.append(in_bytes(work.store_bytes) if work.store_bytes else NONE)
    return [work.stage, *jobs, *row_cells(work, left), *evaluation_cells(work.passes), *times, *sizes]


def method_cells(method: str, work: Work, left: Work, timing: Timing, card: Gpu | None) -> list[str]:
    """The line of one method, over all classifiers; a job is for all methods."""
    own, own_left = only(work, method), only(left, method)
    times = [told(timing.all_passes(own)), *([told_on(timing.all_passes_on(card, own))] if card else [])]
    rows, evaluations = row_cells(own, own_left), evaluation_cells(own.passes)
    return [f"  {method}", "", "", *rows, *evaluations, *times, "", in_bytes(own.store_bytes)]


def total_cells(stages: Sequence[Work], there: There, timing: Timing, card: Gpu | None) -> list[str]:
    left = [there.left(work) for work in stages]
    jobs = sum(work.jobs for work in stages)
    rows = sum(work.rows or 0 for work in stages)
    times = [told_sum([timing.here(work) for work in stages])]
    if card:
        times.append(told_sum([estimated(timing.on(card, work)) for work in stages]))
    return [
        "total",
        f"{jobs:,}",
        f"{jobs - sum(work.jobs for work in left):,}",
        f"{rows:,}",
        f"{rows - sum(work.rows or 0 for work in left):,}",
        *evaluation_cells([passes for work in stages for passes in work.passes]),
        *times,
        in_bytes(sum(work.table_bytes for work in stages)),
        in_bytes(sum(work.store_bytes for work in stages)),
    ]


def row_cells(work: Work, left: Work) -> list[str]:
    """Rows, and how many of them are there."""
    return [NONE, NONE] if work.rows is None else [f"{work.rows:,}", f"{work.rows - left.rows:,}"]


def evaluation_cells(passes: Sequence[Passes]) -> list[str]:
    """Network evaluations, and those of them with a backward pass."""
    evaluations = sum(each.network_evaluations for each in passes)
    backward = sum(each.with_backward for each in passes)
    return [f"{evaluations:,}" if evaluations else NONE, f"{backward:,}" if backward else NONE]


def methods_of(work: Work) -> list[str]:
    return list(dict.fromkeys(each.method for each in work.passes))


def only(work: Work, method: str) -> Work:
    """The part of a stage that is one method."""
    passes = [each for each in work.passes if each.method == method]
    return replace(work, outputs=[], rows=sum(each.rows for each in passes), passes=passes)


def told(rate: Rate | None) -> str:
    """A time: measured as it is, estimated with `~`."""
    return UNKNOWN if rate is None else ("" if rate.measured else "~") + in_words(rate.seconds)


def told_on(seconds: float | None) -> str:
    return told(estimated(seconds))


def estimated(seconds: float | None) -> Rate | None:
    return None if seconds is None else Rate(seconds, False)


def told_sum(rates: Sequence[Rate | None]) -> str:
    """The sum of times; of those that are known, if some are not."""
    known = [rate for rate in rates if rate is not None]
    words = told(Rate(sum(rate.seconds for rate in known), all(rate.measured for rate in known)))
    return words if len(known) == len(rates) else f"> {words}"


def notes(stages: Sequence[Work], there: There, timing: Timing, card: Gpu | None, estimate: Estimate) -> Iterator[str]:
    """What a reader of the table must know."""
    left = [there.left(work) for work in stages]
    evaluations = sum(work.network_evaluations for work in left)
    jobs = sum(work.jobs for work in left)
    yield f"Left: {jobs:,} jobs, {evaluations:,} network evaluations, {told_sum(list(map(timing.here, left)))} here."
    yield (
        "An evaluation is one image through one network; one with its backward pass counts once. Times are of all jobs"
        " one after the other."
    )
    yield measured_on(timing)
    if any(timing.here(work) is None for work in stages):
        yield (
            "? is not known: `make plan MEASURE=1` times one batch of every network that is there, and so does a run of"
            " a small study; training is not foretold."
        )
    if card:
        tensors = f"; in TF32, which convolutions may use, {card.tensor_float32:g}" if card.tensor_float32 else ""
        yield (
            f"On {card.name}: an estimate, from {UTILISATION:.0%} of its peak of {card.float32:g} TFLOP/s in float32"
            f" ({card.source}{tensors}) and at least {LAUNCH_SECONDS * 1000:g} ms for each {ROWS_AT_ONCE} evaluations;"
            " what is no pass takes as long as here."
        )
        if any(timing.on(card, work) is None for work in stages):
            yield f"? on {card.name}: the operations of a network are counted by `make plan MEASURE=1`."
    if any(method.method == "dime" for method in there.plan.study.counterfactuals.values()):
        yield "DiME tries its scales in turn until the decision changes: it takes at most as many evaluations."
    if not there.images_known:
        yield "Which rows the row store keeps is looked up once the images are sampled."
    if any(work.jobs > after.jobs for work, after in zip(stages, left, strict=True)):
        yield "Tables that are there are made anew if what they follow from has changed: `make why` tells."
    if not estimate.dataset.get("size"):
        yield f"The images have sizes of their own; {SIDE} x {SIDE} pixels are assumed."


def measured_on(timing: Timing) -> str:
    """Where the times come from."""
    if timing.measured.devices:
        return (
            "Times without a sign follow from earlier runs of the same networks and image size here"
            f" ({timing.measured.devices[0]}); ~ is an estimate."
        )
    timed = sorted({speed.device for speed in timing.speeds.values()})
    if timed:
        return f"~ is an estimate: no such run was here yet; a batch of each network was timed ({', '.join(timed)})."
    return "~ is an estimate: nothing was measured here yet."
