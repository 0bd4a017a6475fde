rule score_counterfactuals:
    input:
        images=plan.parts("images", "sample"),
        interventions=plan.parts("interventions", "intervene"),
        predictions=plan.parts("predictions", "predict"),
        counterfactuals=lambda wildcards: plan.parts(
            "counterfactuals", classifier=wildcards.classifier
        ),
        judged=plan.parts("predictions", "judge"),
        weights=lambda wildcards: ancient(
            plan.weights_for("score_counterfactuals", wildcards.classifier)
        ),
        identities=lambda wildcards: plan.identities(
            "score_counterfactuals", wildcards.classifier
        ),
    output:
        scores=plan.part("scores", "score_counterfactuals/{classifier}", "000"),
    log:
        plan.log("score_counterfactuals/{classifier}"),
    conda:
        "../envs/pipeline.yaml"
    threads: 2
    resources:
        gpu=gpu("score_counterfactuals"),
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
