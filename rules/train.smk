from pipeline.workflow.trained import trained_file, trained_files


# Training is never repeated because code changed: only when the weights are missing or their recipe is another.
rule train:
    input:
        images=lambda wildcards: plan.training_files(wildcards.network),
    output:
        weights=trained_file("{network}"),
        card=trained_file("{network}", "md"),
    log:
        plan.log("train/{network}"),
    conda:
        "../envs/pipeline.yaml"
    threads: 2
    resources:
        gpu=gpu("train"),
        mem_mb=memory("train"),
        runtime=runtime("train"),
    params:
        options=lambda wildcards: plan.options("train", wildcards.network),
    shell:
        "python -m pipeline train --name {wildcards.network} --options {params.options:q}"
        " --weights {output.weights} --card {output.card} 2> {log}"


rule train_all:
    input:
        trained_files(plan.study),
    localrule: True
