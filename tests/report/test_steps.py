"""The list of the steps."""

import re


def steps_of(page: str) -> dict[str, str]:
    """The entry of each step."""
    listed = page.split('<section id="steps"')[1].split("</section>")[0]
    return dict(re.findall(r'<li id="step-(\w+)">(.*?)</li>', listed, re.DOTALL))


def test_each_step_links_to_those_that_it_reads_from_and_tells_what_it_wrote(study):
    steps = steps_of(study.build())
    assert list(steps) == ["sample", "intervene", "score", "report"]
    assert re.findall('href="#step-(\\w+)"', steps["score"]) == ["sample", "intervene"]
    assert "Score &lt;every&gt; row." in steps["score"]
    assert re.search(r"Writes interventions: 104\srows\.", steps["intervene"])
    assert "href" not in steps["sample"] and "Writes page." in steps["report"]
