rule report:
    input:
        images=plan.parts("images", "sample"),
        interventions=plan.parts("interventions", "intervene"),
        predictions=plan.parts("predictions"),
        scores=plan.parts("scores"),
        saliency=plan.parts("saliency"),
        counterfactuals=plan.parts("counterfactuals"),
        directions=plan.parts("directions"),
        metrics=plan.table("metrics"),
    output:
        page=plan.page,
    log:
        plan.log("report"),
    conda:
        "../envs/pipeline.yaml"
    resources:
        mem_mb=memory("report"),
        runtime=runtime("report"),
    params:
        options=plan.options("report"),
        code=plan.code("report"),
    shell:
        "python -m pipeline report --options {params.options:q} --code {params.code} --images {input.images}"
        " --interventions {input.interventions} --predictions {input.predictions}"
        " --saliency {input.saliency} --counterfactuals {input.counterfactuals}"
        " --directions {input.directions} --scores {input.scores}"
        " --metrics {input.metrics} --page {output.page} 2> {log}"
