rule counterfactuals:
    input:
        images=plan.part("images", "sample"),
        predictions=plan.part("predictions", "predict"),
        all_predictions=lambda wildcards: plan.whole(
            "counterfactuals", wildcards.classifier
        ),
        saliency=lambda wildcards: plan.inputs(
            "counterfactuals", "saliency", wildcards.classifier, wildcards.shard
        ),
        weights=lambda wildcards: ancient(
            plan.weights_for("counterfactuals", wildcards.classifier)
        ),
        identities=lambda wildcards: plan.identities(
            "counterfactuals", wildcards.classifier
        ),
    output:
        counterfactuals=plan.part("counterfactuals", "counterfactuals/{classifier}"),
    log:
        plan.log("counterfactuals/{classifier}-{shard}"),
    conda:
        "../envs/pipeline.yaml"
    threads: 2
    resources:
        gpu=gpu("counterfactuals"),
        mem_mb=memory("counterfactuals"),
        runtime=runtime("counterfactuals"),
    params:
        options=plan.options("counterfactuals"),
        code=plan.code("counterfactuals"),
        rows=lambda wildcards: plan.explained_rows(wildcards.shard),
        before=lambda wildcards: plan.rows_before(wildcards.shard),
        store=plan.store,
    shell:
        "python -m pipeline counterfactuals --options {params.options:q} --code {params.code} --rows {params.rows}"
        " --before {params.before} --classifier {wildcards.classifier} --images {input.images}"
        " --predictions {input.predictions} --all-predictions {input.all_predictions}"
        " --saliency {input.saliency}"
        " --identities {input.identities} --store {params.store}"
        " --counterfactuals {output.counterfactuals} 2> {log}"
