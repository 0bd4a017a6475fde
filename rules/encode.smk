rule encode:
    input:
        images=plan.part("images", "sample"),
        weights=ancient(plan.weights_for("encode")),
        identities=plan.identities("encode"),
    output:
        codes=plan.part("codes", "encode"),
    log:
        plan.log("encode/{shard}"),
    conda:
        "../envs/pipeline.yaml"
    threads: 2
    resources:
        gpu=gpu("encode"),
        mem_mb=memory("encode"),
        runtime=runtime("encode"),
    params:
        options=plan.options("encode"),
        code=plan.code("encode"),
        rows=lambda wildcards: plan.explained_rows(wildcards.shard),
        store=plan.store,
    shell:
        "python -m pipeline encode --options {params.options:q} --code {params.code} --rows {params.rows}"
        " --images {input.images} --identities {input.identities} --store {params.store} --codes {output.codes} 2> {log}"
