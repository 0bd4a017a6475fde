rule saliency:
    input:
        images=plan.part("images", "sample"),
        predictions=plan.part("predictions", "predict"),
        weights=lambda wildcards: ancient(
            plan.weights_for("saliency", wildcards.classifier)
        ),
        identity=plan.identity("{classifier}"),
        fillers=lambda wildcards: plan.fillers_for("saliency", wildcards.classifier),
    output:
        saliency=plan.part("saliency", "saliency/{classifier}"),
    log:
        plan.log("saliency/{classifier}-{shard}"),
    conda:
        "../envs/pipeline.yaml"
    threads: 2
    resources:
        gpu=gpu("saliency"),
        mem_mb=memory("saliency"),
        runtime=runtime("saliency"),
    params:
        options=plan.options("saliency"),
        code=plan.code("saliency"),
        rows=lambda wildcards: plan.explained_rows(wildcards.shard),
        store=plan.store,
    shell:
        "python -m pipeline saliency --options {params.options:q} --code {params.code} --rows {params.rows}"
        " --classifier {wildcards.classifier} --images {input.images} --predictions {input.predictions}"
        " --identity {input.identity} --fillers {input.fillers} --store {params.store} --saliency {output.saliency} 2> {log}"
