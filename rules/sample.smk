rule sample:
    input:
        files=lambda wildcards: dataset_files,
        weights=ancient(plan.weights(*plan.study.dataset.correct)),
        identities=[plan.identity(network) for network in plan.study.dataset.correct],
    output:
        images=plan.parts("images", "sample"),
    log:
        plan.log("sample"),
    conda:
        "../envs/pipeline.yaml"
    resources:
        gpu=int(bool(plan.study.dataset.correct)),
        mem_mb=memory("sample"),
        runtime=runtime("sample"),
    params:
        options=plan.options("sample"),
        code=plan.code("sample"),
        files=plan.sizes(dataset_files),
    shell:
        "python -m pipeline sample --options {params.options:q} --code {params.code} --files {params.files:q}"
        " --identities {input.identities} --images {output.images} 2> {log}"
