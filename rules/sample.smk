rule sample:
    input:
        files=lambda wildcards: dataset_files,
        weights=ancient(plan.weights_for("sample")),
        identities=plan.identities("sample"),
    output:
        images=plan.parts("images", "sample"),
    log:
        plan.log("sample"),
    conda:
        "../envs/pipeline.yaml"
    resources:
        gpu=gpu("sample"),
        mem_mb=memory("sample"),
        runtime=runtime("sample"),
    params:
        options=plan.options("sample"),
        code=plan.code("sample"),
        files=plan.sizes(dataset_files),
    shell:
        "python -m pipeline sample --options {params.options:q} --code {params.code} --files {params.files:q}"
        " --identities {input.identities} --images {output.images} 2> {log}"
