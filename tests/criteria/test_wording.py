"""What people are told about names that don't exist."""

from tasks.criteria.wording import did_you_mean


def test_names_that_are_near_are_offered():
    assert did_you_mean("junk", ["Junk", "Customer"]) == "; did you mean 'Junk'?"
    assert did_you_mean("BAD-FIT", ["Junk", "Bad Fit"]) == "; did you mean 'Bad Fit'?"
    assert did_you_mean("xyz", ["b", "a"]) == "; there are 'a', 'b'."
    assert did_you_mean("xyz", [f"{number:03}" for number in range(100)]) == ""
    assert did_you_mean("xyz", []) == ""
