from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from gossamer.report.labels import place

MARKS = st.lists(st.tuples(st.floats(60, 340), st.floats(40, 240)), min_size=1, max_size=12)


@given(MARKS)
def test_labels_stay_inside_and_off_marks_and_each_other(marks: list[tuple[float, float]]) -> None:
    names = [(f"network {i}", "series", x, y) for i, (x, y) in enumerate(marks)]
    made = place(names, marks, left=50, right=350, top=30, bottom=250)
    boxes = []
    for label in made:
        x, y = (float(label.split(f' {name}="')[1].split('"')[0]) for name in ("x", "y"))
        boxes.append((x, y - 11, x + len("network 0") * 6.4, y + 3))
    for left, top, right, bottom in boxes:
        assert left >= 50
        assert right <= 350 + 7
        assert top >= 19
        assert bottom <= 251
        assert not any(left < x < right and top < y < bottom for x, y in marks), "no mark's centre is covered"
    for index, a in enumerate(boxes):
        assert not any(a[0] < b[2] - 7 and b[0] < a[2] - 7 and a[1] < b[3] and b[1] < a[3] for b in boxes[:index])


def test_a_lone_mark_has_its_name_to_the_upper_right() -> None:
    (label,) = place([("rigl 90 %", "rigl", 100.0, 100.0)], [(100.0, 100.0)], left=50, right=350, top=30, bottom=250)
    assert 'x="110"' in label
    assert 'y="95"' in label
    assert ">rigl 90 %<" in label


def test_no_room_no_label() -> None:
    assert place([("a long name of a method", "a", 60.0, 100.0)], [], left=50, right=120, top=30, bottom=250) == []
