rule attribute:
    input:
        images=plan.part("images", "sample"),
        predictions=plan.part("predictions", "predict"),
        codes=plan.part("codes", "encode"),
        directions=plan.part("directions", "directions/{classifier}", "000"),
        weights=lambda wildcards: ancient(
            plan.weights_for("attribute", wildcards.classifier)
        ),
        identities=lambda wildcards: plan.identities("attribute", wildcards.classifier),
    output:
        saliency=plan.part("saliency", "attribute/{classifier}"),
    log:
        plan.log("attribute/{classifier}-{shard}"),
    conda:
        "../envs/pipeline.yaml"
    threads: 2
    resources:
        gpu=gpu("attribute"),
        mem_mb=memory("attribute"),
        runtime=runtime("attribute"),
    params:
        options=plan.options("attribute"),
        code=plan.code("attribute"),
        rows=lambda wildcards: plan.explained_rows(wildcards.shard),
        before=lambda wildcards: plan.rows_before(wildcards.shard),
        store=plan.store,
    shell:
        "python -m pipeline attribute --options {params.options:q} --code {params.code} --rows {params.rows}"
        " --before {params.before} --classifier {wildcards.classifier} --images {input.images}"
        " --predictions {input.predictions} --codes {input.codes} --directions {input.directions}"
        " --identities {input.identities} --store {params.store}"
        " --saliency {output.saliency} 2> {log}"
