rule predict:
    input:
        images=plan.part("images", "sample"),
        interventions=plan.part("interventions", "intervene") if plan.has_truth else [],
        weights=ancient(plan.weights_for("predict")),
        identities=plan.identities("predict"),
    output:
        predictions=plan.part("predictions", "predict"),
    log:
        plan.log("predict/{shard}"),
    conda:
        "../envs/pipeline.yaml"
    threads: 2
    resources:
        gpu=gpu("predict"),
        mem_mb=memory("predict"),
        runtime=runtime("predict"),
    params:
        options=plan.options("predict"),
        code=plan.code("predict"),
        store=plan.store,
    shell:
        "python -m pipeline predict --options {params.options:q} --code {params.code} --images {input.images}"
        " --interventions {input.interventions} --identities {input.identities}"
        " --store {params.store} --predictions {output.predictions} 2> {log}"
