rule directions:
    input:
        codes=plan.part("codes", "encode_search", "000"),
        weights=lambda wildcards: ancient(
            plan.weights_for("directions", wildcards.classifier)
        ),
        identities=lambda wildcards: plan.identities("directions", wildcards.classifier),
    output:
        directions=plan.part("directions", "directions/{classifier}", "000"),
    log:
        plan.log("directions/{classifier}"),
    conda:
        "../envs/pipeline.yaml"
    threads: 2
    resources:
        gpu=gpu("directions"),
        mem_mb=memory("directions"),
        runtime=runtime("directions"),
    params:
        options=plan.options("directions"),
        code=plan.code("directions"),
        store=plan.store,
    shell:
        "python -m pipeline directions --options {params.options:q} --code {params.code}"
        " --classifier {wildcards.classifier} --codes {input.codes} --identities {input.identities}"
        " --store {params.store} --directions {output.directions} 2> {log}"
