rule score_directions:
    input:
        directions=plan.part("directions", "directions/{classifier}", "000"),
        counterfactuals=lambda wildcards: plan.parts(
            "counterfactuals", "transfer", classifier=wildcards.classifier
        ),
        predictions=plan.parts("predictions"),
        truth=plan.table("scores"),
    output:
        scores=plan.part("scores", "score_directions/{classifier}", "000"),
    log:
        plan.log("score_directions/{classifier}"),
    conda:
        "../envs/pipeline.yaml"
    resources:
        mem_mb=memory("score_directions"),
        runtime=runtime("score_directions"),
    params:
        options=plan.options("score_directions"),
        code=plan.code("score_directions"),
    shell:
        "python -m pipeline score_directions --options {params.options:q} --code {params.code}"
        " --classifier {wildcards.classifier} --directions {input.directions}"
        " --counterfactuals {input.counterfactuals} --predictions {input.predictions} --truth {input.truth}"
        " --scores {output.scores} 2> {log}"
