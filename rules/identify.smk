# Gigabytes of weights are hashed once; everything later compares these small files.
rule identify:
    input:
        weights=plan.weights(*plan.identified),
    output:
        identities=[plan.identity(name) for name in plan.identified],
    log:
        plan.log("identify"),
    conda:
        "../envs/pipeline.yaml"
    resources:
        mem_mb=memory("identify"),
        runtime=runtime("identify"),
    params:
        options=plan.options("identify"),
        code=plan.code("identify"),
    shell:
        "python -m pipeline identify --options {params.options:q} --code {params.code}"
        " --identities {output.identities} 2> {log}"
