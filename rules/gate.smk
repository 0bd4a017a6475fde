from pipeline.workflow.trained import measuring_files, trained_generator_file


# What a trained diffusion model draws, held against its training images: for its model card.
rule gate:
    input:
        weights=trained_generator_file("{network}"),
        record=trained_generator_file("{network}", "json"),
        images=lambda wildcards: plan.training_files(wildcards.network),
        networks=lambda wildcards: ancient(
            measuring_files(plan.study, wildcards.network)
        ),
    output:
        card=trained_generator_file("{network}", "md"),
        neighbours=trained_generator_file("{network}-neighbours", "png"),
    log:
        plan.log("gate/{network}"),
    wildcard_constraints:
        network=one_of(plan.recipes("gate")),
    conda:
        "../envs/pipeline.yaml"
    threads: 2
    resources:
        gpu=gpu("gate"),
        mem_mb=memory("gate"),
        runtime=runtime("gate"),
    params:
        options=lambda wildcards: plan.options("gate", wildcards.network),
    shell:
        "python -m pipeline gate --name {wildcards.network} --options {params.options:q} --weights {input.weights}"
        " --record {input.record} --card {output.card} --neighbours {output.neighbours} 2> {log}"
