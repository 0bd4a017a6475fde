rule score_accusations:
    input:
        accusations=plan.table("accusations"),
    output:
        scores=plan.part("scores", "score_accusations", "000"),
    log:
        plan.log("score_accusations"),
    conda:
        "../envs/pipeline.yaml"
    resources:
        mem_mb=memory("score_accusations"),
        runtime=runtime("score_accusations"),
    params:
        options=plan.options("score_accusations"),
        code=plan.code("score_accusations"),
    shell:
        "python -m pipeline score_accusations --options {params.options:q} --code {params.code}"
        " --accusations {input.accusations} --scores {output.scores} 2> {log}"
