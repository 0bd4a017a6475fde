rule transfer:
    input:
        images=plan.part("images", "sample"),
        predictions=plan.part("predictions", "predict"),
        codes=plan.part("codes", "encode"),
        directions=plan.part("directions", "directions/{classifier}", "000"),
        weights=lambda wildcards: ancient(
            plan.weights_for("transfer", wildcards.classifier)
        ),
        identities=lambda wildcards: plan.identities("transfer", wildcards.classifier),
    output:
        counterfactuals=plan.part("counterfactuals", "transfer/{classifier}"),
    log:
        plan.log("transfer/{classifier}-{shard}"),
    conda:
        "../envs/pipeline.yaml"
    threads: 2
    resources:
        gpu=gpu("transfer"),
        mem_mb=memory("transfer"),
        runtime=runtime("transfer"),
    params:
        options=plan.options("transfer"),
        code=plan.code("transfer"),
        rows=lambda wildcards: plan.explained_rows(wildcards.shard),
        before=lambda wildcards: plan.rows_before(wildcards.shard),
        store=plan.store,
    shell:
        "python -m pipeline transfer --options {params.options:q} --code {params.code} --rows {params.rows}"
        " --before {params.before} --classifier {wildcards.classifier} --images {input.images}"
        " --predictions {input.predictions} --codes {input.codes} --directions {input.directions}"
        " --identities {input.identities} --store {params.store}"
        " --counterfactuals {output.counterfactuals} 2> {log}"
