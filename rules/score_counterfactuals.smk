rule score_counterfactuals:
    input:
        images=plan.parts("images", "sample"),
        interventions=plan.parts("interventions", "intervene") if plan.has_truth else [],
        predictions=plan.parts("predictions", "predict"),
        counterfactuals=lambda wildcards: plan.counterfactuals_of(wildcards.classifier),
        judged=plan.judged(),
        weights=lambda wildcards: ancient(
            plan.weights(wildcards.classifier, *plan.measuring)
        ),
        identities=lambda wildcards: [
            plan.identity(name) for name in [wildcards.classifier, *plan.measuring]
        ],
    output:
        scores=plan.part("scores", "score_counterfactuals/{classifier}", "000"),
    log:
        plan.log("score_counterfactuals/{classifier}"),
    conda:
        "../envs/pipeline.yaml"
    threads: 2
    resources:
        gpu=1,
        mem_mb=memory("score_counterfactuals"),
        runtime=runtime("score_counterfactuals"),
    params:
        options=plan.options("score_counterfactuals"),
        code=plan.code("score_counterfactuals"),
    shell:
        "python -m pipeline score_counterfactuals --options {params.options:q} --code {params.code}"
        " --classifier {wildcards.classifier} --images {input.images} --interventions {input.interventions}"
        " --predictions {input.predictions} --counterfactuals {input.counterfactuals} --judged {input.judged}"
        " --identities {input.identities} --scores {output.scores} 2> {log}"
