from pipeline.workflow.trained import trained_generator_file


rule train_autoencoder:
    input:
        images=lambda wildcards: plan.training_files(wildcards.network),
    output:
        weights=trained_generator_file("{network}"),
        samples=trained_generator_file("{network}", "png"),
        card=trained_generator_file("{network}", "md"),
    log:
        plan.log("train_autoencoder/{network}"),
    wildcard_constraints:
        network=one_of(plan.recipes("train_autoencoder")),
    conda:
        "../envs/pipeline.yaml"
    threads: 2
    resources:
        gpu=gpu("train_autoencoder"),
        mem_mb=memory("train_autoencoder"),
        runtime=runtime("train_autoencoder"),
    params:
        options=lambda wildcards: plan.options("train_autoencoder", wildcards.network),
    shell:
        "python -m pipeline train_autoencoder --name {wildcards.network} --options {params.options:q}"
        " --weights {output.weights} --samples {output.samples} --card {output.card} 2> {log}"
