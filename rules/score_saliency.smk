rule score_saliency:
    input:
        images=plan.parts("images", "sample"),
        saliency=lambda wildcards: plan.parts(
            "saliency", classifier=wildcards.classifier
        ),
        truth=plan.table("scores"),
        weights=lambda wildcards: ancient(
            plan.weights_for("score_saliency", wildcards.classifier)
        ),
        identity=plan.identity("{classifier}"),
        fillers=lambda wildcards: plan.fillers_for(
            "score_saliency", wildcards.classifier
        ),
    output:
        scores=plan.part("scores", "score_saliency/{classifier}", "000"),
    log:
        plan.log("score_saliency/{classifier}"),
    conda:
        "../envs/pipeline.yaml"
    threads: 2
    resources:
        gpu=gpu("score_saliency"),
        mem_mb=memory("score_saliency"),
        runtime=runtime("score_saliency"),
    params:
        options=plan.options("score_saliency"),
        code=plan.code("score_saliency"),
    shell:
        "python -m pipeline score_saliency --options {params.options:q} --code {params.code}"
        " --classifier {wildcards.classifier} --images {input.images} --saliency {input.saliency}"
        " --truth {input.truth} --identity {input.identity} --fillers {input.fillers} --scores {output.scores} 2> {log}"
