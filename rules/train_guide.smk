from pipeline.workflow.trained import trained_generator_file


rule train_guide:
    input:
        images=lambda wildcards: plan.training_files(wildcards.network),
    output:
        weights=trained_generator_file("{network}"),
        card=trained_generator_file("{network}", "md"),
    log:
        plan.log("train_guide/{network}"),
    wildcard_constraints:
        network=one_of(plan.recipes("train_guide")),
    conda:
        "../envs/pipeline.yaml"
    threads: 2
    resources:
        gpu=gpu("train_guide"),
        mem_mb=memory("train_guide"),
        runtime=runtime("train_guide"),
    params:
        options=lambda wildcards: plan.options("train_guide", wildcards.network),
    shell:
        "python -m pipeline train_guide --name {wildcards.network} --options {params.options:q}"
        " --weights {output.weights} --card {output.card} 2> {log}"
