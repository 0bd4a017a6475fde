rule judge:
    input:
        predictions=plan.part("predictions", "predict"),
        counterfactuals=lambda wildcards: plan.parts(
            "counterfactuals", shard=wildcards.shard
        ),
        weights=ancient(plan.weights_for("judge")),
        identities=plan.identities("judge"),
    output:
        judged=plan.part("predictions", "judge"),
    log:
        plan.log("judge/{shard}"),
    conda:
        "../envs/pipeline.yaml"
    threads: 2
    resources:
        gpu=gpu("judge"),
        mem_mb=memory("judge"),
        runtime=runtime("judge"),
    params:
        options=plan.options("judge"),
        code=plan.code("judge"),
        store=plan.store,
    shell:
        "python -m pipeline judge --options {params.options:q} --code {params.code} --predictions {input.predictions}"
        " --counterfactuals {input.counterfactuals} --identities {input.identities} --store {params.store}"
        " --judged {output.judged} 2> {log}"
