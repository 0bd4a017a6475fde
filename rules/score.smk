rule score:
    input:
        images=plan.parts("images", "sample"),
        interventions=plan.parts("interventions", "intervene"),
        predictions=plan.parts("predictions", "predict"),
    output:
        scores=plan.table("scores"),
    log:
        plan.log("score"),
    conda:
        "../envs/pipeline.yaml"
    resources:
        mem_mb=memory("score"),
        runtime=runtime("score"),
    params:
        options=plan.options("score"),
        code=plan.code("score"),
    shell:
        "python -m pipeline score --options {params.options:q} --code {params.code} --images {input.images}"
        " --interventions {input.interventions} --predictions {input.predictions}"
        " --scores {output.scores} 2> {log}"
