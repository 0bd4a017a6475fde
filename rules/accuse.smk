rule accuse:
    input:
        images=plan.parts("images", "sample"),
        predictions=plan.parts("predictions"),
        saliency=plan.parts("saliency"),
        counterfactuals=plan.parts("counterfactuals"),
        truth=plan.table("scores"),
    output:
        accusations=plan.table("accusations"),
    log:
        plan.log("accuse"),
    conda:
        "../envs/pipeline.yaml"
    resources:
        mem_mb=memory("accuse"),
        runtime=runtime("accuse"),
    params:
        options=plan.options("accuse"),
        code=plan.code("accuse"),
    shell:
        "python -m pipeline accuse --options {params.options:q} --code {params.code} --images {input.images}"
        " --predictions {input.predictions} --saliency {input.saliency} --counterfactuals {input.counterfactuals}"
        " --truth {input.truth} --accusations {output.accusations} 2> {log}"
