import sys

from snakemake.exceptions import WorkflowError
from snakemake.utils import min_version

min_version("9.25")
sys.path.insert(0, workflow.basedir)

from pipeline.commands.holder import RESULTS, hold
from pipeline.errors import UserError
from pipeline.study import load_study
from pipeline.study.fitting import check_methods
from pipeline.study.plan import Plan

try:
    plan = Plan(load_study(str(config.get("study", "default"))))
    plan.check_weights()
    check_methods(plan)
    dataset_files = plan.dataset_files()
except UserError as error:
    raise WorkflowError(str(error)) from None


include: "rules/common.smk"
include: "rules/train.smk"
include: "rules/train_generator.smk"
include: "rules/train_guide.smk"
include: "rules/train_infill.smk"
include: "rules/gate.smk"
include: "rules/identify.smk"
include: "rules/sample.smk"
include: "rules/intervene.smk"
include: "rules/predict.smk"
include: "rules/saliency.smk"
include: "rules/counterfactuals.smk"
include: "rules/judge.smk"
include: "rules/score.smk"
include: "rules/score_saliency.smk"
include: "rules/score_counterfactuals.smk"
include: "rules/metrics.smk"
include: "rules/report.smk"


# Every file, since Snakemake makes no file again that is missing where what follows from it stands.
rule all:
    default_target: True
    input:
        plan.outputs(),
    localrule: True


# Also where Snakemake was not called by `make run`, which holds the folder already.
onstart:
    try:
        hold(RESULTS, plan.study.study)
    except UserError as error:
        raise WorkflowError(str(error)) from None


onsuccess:
    print(f"Report: {rules.report.output.page}")
