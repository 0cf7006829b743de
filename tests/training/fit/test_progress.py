"""What people read while it trains."""

import io

from quarry.training.fit.loop.progress import TrainProgress, line_of, terminal_observer


class Terminal(io.StringIO):
    def isatty(self) -> bool:
        return True


def test_a_line_says_what_is_known():
    assert line_of(TrainProgress(0, 90, 0.0)) == "step 0/90  epoch 0.00"
    full = TrainProgress(12, 90, 0.133, 0.4123, 0.73149, 250.4, "说明")
    assert line_of(full) == "step 12/90  epoch 0.13  loss 0.412  dev nDCG@10 0.731  4 min 10 s left  说明"
    assert "59 s left" in line_of(TrainProgress(1, 2, 0, seconds_left=59.4))
    assert "2 h 05 min left" in line_of(TrainProgress(1, 2, 0, seconds_left=7500))


def test_a_file_gets_every_tenth_step_and_what_matters():
    out = io.StringIO()
    observe = terminal_observer(out)
    for step in range(1, 26):
        observe(TrainProgress(step, 25, step / 25, 1.0, 0.5 if step == 7 else None))
    assert [line.split()[1] for line in out.getvalue().splitlines()] == ["7/25", "10/25", "20/25", "25/25"]


def test_a_terminal_overwrites_its_line_and_keeps_evaluations():
    out = Terminal()
    observe = terminal_observer(out)
    observe(TrainProgress(1, 3, 0.3, 1.0))
    observe(TrainProgress(2, 3, 0.6, 1.0, 0.5))
    assert out.getvalue().count("\n") == 1
    assert out.getvalue().startswith("\r\x1b[Kstep 1/3")
