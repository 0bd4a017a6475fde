from pipeline.workflow.trained import trained_generator_file


# Goes on where an earlier attempt was stopped. Images that the model draws appear while it learns.
rule train_generator:
    input:
        images=lambda wildcards: plan.training_files(wildcards.network),
    output:
        weights=trained_generator_file("{network}"),
        samples=trained_generator_file("{network}", "png"),
        record=trained_generator_file("{network}", "json"),
    log:
        plan.log("train_generator/{network}"),
    wildcard_constraints:
        network=one_of(plan.recipes("train_generator")),
    conda:
        "../envs/pipeline.yaml"
    threads: 2
    resources:
        gpu=gpu("train_generator"),
        mem_mb=memory("train_generator"),
        runtime=runtime("train_generator"),
    params:
        options=lambda wildcards: plan.options("train_generator", wildcards.network),
    shell:
        "python -m pipeline train_generator --name {wildcards.network} --options {params.options:q}"
        " --weights {output.weights} --samples {output.samples} --record {output.record} 2> {log}"
