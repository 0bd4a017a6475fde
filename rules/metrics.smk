rule metrics:
    input:
        scores=plan.parts("scores"),
    output:
        metrics=plan.table("metrics"),
    log:
        plan.log("metrics"),
    conda:
        "../envs/pipeline.yaml"
    resources:
        mem_mb=memory("metrics"),
        runtime=runtime("metrics"),
    params:
        options=plan.options("metrics"),
        code=plan.code("metrics"),
    shell:
        "python -m pipeline metrics --options {params.options:q} --code {params.code} --scores {input.scores}"
        " --metrics {output.metrics} 2> {log}"
