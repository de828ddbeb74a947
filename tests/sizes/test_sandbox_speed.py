"""The measurements that the sandbox's README quotes can be repeated."""

import pytest
from sizes.sandbox_speed import main


def test_the_sandbox_is_measured(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["--leads", "300", "--requests", "20"]) == 0

    lines = capsys.readouterr().out.splitlines()
    assert lines[0].startswith("making up 300 leads")
    assert [line for line in lines if line.startswith("count of a status ")]
    assert lines[-1].startswith("memory and 20 requests")
