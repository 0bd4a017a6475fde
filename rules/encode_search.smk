rule encode_search:
    input:
        files=lambda wildcards: dataset_files,
        weights=ancient(plan.weights_for("encode_search")),
        identities=plan.identities("encode_search"),
    output:
        codes=plan.part("codes", "encode_search", "000"),
    log:
        plan.log("encode_search"),
    conda:
        "../envs/pipeline.yaml"
    threads: 2
    resources:
        gpu=gpu("encode_search"),
        mem_mb=memory("encode_search"),
        runtime=runtime("encode_search"),
    params:
        options=plan.options("encode_search"),
        code=plan.code("encode_search"),
        files=plan.sizes(dataset_files),
        store=plan.store,
    shell:
        "python -m pipeline encode_search --options {params.options:q} --code {params.code} --files {params.files:q}"
        " --identities {input.identities} --store {params.store} --codes {output.codes} 2> {log}"
