from pipeline.workflow.trained import trained_infill_file


rule train_infill:
    input:
        images=lambda wildcards: plan.training_files(wildcards.network),
    output:
        weights=trained_infill_file("{network}"),
        samples=trained_infill_file("{network}", "png"),
        card=trained_infill_file("{network}", "md"),
    log:
        plan.log("train_infill/{network}"),
    wildcard_constraints:
        network=one_of(plan.recipes("train_infill")),
    conda:
        "../envs/pipeline.yaml"
    threads: 2
    resources:
        gpu=gpu("train_infill"),
        mem_mb=memory("train_infill"),
        runtime=runtime("train_infill"),
    params:
        options=lambda wildcards: plan.options("train_infill", wildcards.network),
    shell:
        "python -m pipeline train_infill --name {wildcards.network} --options {params.options:q}"
        " --weights {output.weights} --samples {output.samples} --card {output.card} 2> {log}"
