import pytest

from pipeline.errors import UserError
from pipeline.stages.labels import class_index


def test_a_label_is_the_class_of_the_same_name():
    assert class_index("net", "animal", ("dog", "cat", "fox"), 0, ("cat", "dog")) == 1


def test_where_no_name_is_shared_the_place_counts():
    assert class_index("net", "smile", ("serious", "smiling"), 1, ("absent", "present")) == 1


def test_an_unknown_label_or_task_stays_unknown():
    assert class_index("net", "smile", ("a", "b"), None, ("a", "b")) is None
    assert class_index("net", "smile", ("a", "b"), 1, None) is None


@pytest.mark.parametrize(("classes", "names"), [(("dog", "fox"), ("cat", "dog")), (("a", "b", "c"), ("cat", "dog"))])
def test_a_label_that_is_no_class_is_one_sentence(classes, names):
    with pytest.raises(UserError, match=r"'cat'.*of the task animal.*classes of net.*name the classes of both alike"):
        class_index("net", "animal", classes, 0, names)
