rule intervene:
    input:
        images=plan.part("images", "sample"),
    output:
        interventions=plan.part("interventions", "intervene"),
    log:
        plan.log("intervene/{shard}"),
    conda:
        "../envs/pipeline.yaml"
    resources:
        mem_mb=memory("intervene"),
        runtime=runtime("intervene"),
    params:
        options=plan.options("intervene"),
        code=plan.code("intervene"),
    shell:
        "python -m pipeline intervene --options {params.options:q} --code {params.code} --images {input.images}"
        " --interventions {output.interventions} 2> {log}"
