"""How long the work of a study takes: here, by what was measured here, and on a GPU, by its published peak."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from pipeline.study.estimate import Passes, Work
from pipeline.study.gpus import Gpu, seconds_on
from pipeline.study.measured import BACKWARD, Measured, Rate
from pipeline.study.trained import TRAINED_BY

# Seconds of a job and of a row of 64 x 64 pixels on two CPU cores, for stages that never ran here: those of sample,
# intervene and predict were measured in one run, the others are of that order and no more.
REFERENCE_SIDE = 64
JOB_SECONDS = {"identify": 1.0, "sample": 1.0, "intervene": 1.0, "predict": 7.0, "saliency": 8.0, "score": 1.0}
JOB_SECONDS |= {"counterfactuals": 10.0, "judge": 6.0, "score_counterfactuals": 8.0}
JOB_SECONDS |= {"score_saliency": 8.0, "metrics": 4.0, "report": 12.0}
ROW_SECONDS = {"sample": 0.016, "intervene": 0.0015, "predict": 3e-5, "saliency": 1e-4, "score": 3e-5}
ROW_SECONDS |= {"score_saliency": 5e-4, "counterfactuals": 2e-3, "judge": 3e-5, "score_counterfactuals": 2e-3}
BY_PASSES = (
    "predict",
    "saliency",
    "counterfactuals",
    "judge",
    "score_counterfactuals",
)  # stages that count their passes, so that earlier runs tell what one takes
BY_PIXELS = ("sample", "intervene", "score_saliency")  # stages whose rows take longer where images are larger


@dataclass(frozen=True)
class Speed:
    """One network on images of one side, as `--measure` found it.

    operations: floating-point operations of a forward pass of one image, None where they cannot be counted. forward,
    with_backward: seconds for one image in a full batch; with_backward is None for a network without gradients.
    """

    operations: float | None
    forward: float
    with_backward: float | None
    device: str


@dataclass(frozen=True)
class Timing:
    """What is known of speed. identities: canonical JSON by network, None where a network is not there.

    generators: those of the networks that make images, which predict nothing.
    """

    measured: Measured
    speeds: Mapping[str, Speed]
    identities: Mapping[str, str | None]
    side: int
    generators: frozenset[str] = frozenset()

    def here(self, work: Work) -> Rate | None:
        """Seconds of all jobs of a stage, one after the other; None where the speed of a network is not known."""
        if work.jobs == 0:
            return Rate(0.0, True)
        if work.stage in TRAINED_BY:
            return None
        fixed = times(self.overhead(work.stage), work.jobs)
        rows = times(self.row(work.stage), work.rows) if work.rows else Rate(0.0, True)
        if work.stage in BY_PASSES:
            return summed([fixed, self.all_passes(work)])
        if rows.measured:  # with all the passes of those rows
            return summed([fixed, rows])
        return summed([fixed, rows, self.all_passes(work)])

    def all_passes(self, work: Work) -> Rate | None:
        """Seconds of the passes of a stage, without what every job takes anyway."""
        return summed([self.passes(work.stage, each) for each in work.passes])

    def passes(self, stage: str, passes: Passes) -> Rate | None:
        """Seconds of the passes of one network, with all that the stage does around them."""
        forwards = passes.filled * (passes.forward + passes.with_backward * (1 + BACKWARD) + passes.again * BACKWARD)
        identity, speed = self.identities.get(passes.network), self.speeds.get(passes.network)
        if not forwards:  # the rates of the other methods were measured together with this one's
            return Rate(ROW_SECONDS[stage] * passes.rows, self.measured.newest(stage) is not None)
        of_network = frozenset([identity] if identity else [])
        predicting = (known for name, known in self.identities.items() if known and name not in self.generators)
        together = frozenset(predicting) if stage in ("predict", "judge") else of_network
        if passes.within is not None:
            whole = self.identities.get(passes.within)
            known = self.measured.forward(stage, frozenset([whole]), self.side) if whole else None
            if known:
                return Rate(0.0, known.measured)
        rate = self.measured.forward(stage, together, self.side) if together else None
        if rate and rate.measured:
            return times(rate, forwards)
        if speed:
            backward = speed.with_backward or speed.forward * (1 + BACKWARD)
            seconds = passes.forward * speed.forward + passes.with_backward * backward
            seconds += passes.again * (backward - speed.forward)
            return Rate(passes.filled * seconds, False)
        rate = rate or self.measured.forward("predict", of_network, self.side) if of_network else None
        return times(Rate(rate.seconds, False), forwards) if rate else None

    def on(self, gpu: Gpu, work: Work) -> float | None:
        """Seconds of all jobs of a stage on a GPU: what is no pass takes as long as here; an estimate throughout."""
        if work.stage in TRAINED_BY and work.jobs:
            return None
        fixed = self.overhead(work.stage).seconds * work.jobs
        if not work.passes:
            return fixed + (self.row(work.stage).seconds * work.rows if work.rows else 0.0)
        passes = self.all_passes_on(gpu, work)
        return None if passes is None else fixed + passes

    def all_passes_on(self, gpu: Gpu, work: Work) -> float | None:
        """Seconds of the passes of a stage on a GPU, and of its rows beside them."""
        seconds = self.reference_row(work.stage) * (work.rows or 0)
        for each in work.passes:
            speed = self.speeds.get(each.network)
            if each.network_evaluations and (speed is None or speed.operations is None):
                return None
            if each.network_evaluations:
                operations = speed.operations * (
                    each.forward + each.with_backward * (1 + BACKWARD) + each.again * BACKWARD
                )
                seconds += each.filled * seconds_on(gpu, operations, each.network_evaluations)
        return seconds

    def overhead(self, stage: str) -> Rate:
        """Of one job."""
        if stage in ("identify", "metrics", "report"):
            run = self.measured.newest(stage)
            return Rate(run.overhead + run.seconds, True) if run else Rate(JOB_SECONDS[stage], False)
        return self.measured.overhead(stage) or Rate(JOB_SECONDS[stage], False)

    def row(self, stage: str) -> Rate:
        """Of one row, by an earlier run of the stage if there is one."""
        return self.measured.row(stage, self.side, stage in BY_PIXELS) or Rate(self.reference_row(stage), False)

    def reference_row(self, stage: str) -> float:
        """Seconds of one row where nothing is known of this machine, without passes; 0 where rows take no time."""
        larger = (self.side / REFERENCE_SIDE) ** 2 if stage in BY_PIXELS else 1.0
        return ROW_SECONDS.get(stage, 0.0) * larger


def times(rate: Rate, count: float) -> Rate:
    return Rate(rate.seconds * count, rate.measured)


def summed(rates: list[Rate | None]) -> Rate | None:
    """The sum, measured if all are; None if one is not known."""
    known = [rate for rate in rates if rate is not None]
    if len(known) < len(rates):
        return None
    return Rate(sum(rate.seconds for rate in known), all(rate.measured for rate in known))
