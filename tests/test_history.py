from studio.history import MAX_STEPS, History


def test_steps_are_taken_back_and_again() -> None:
    history = History("a").done("b").done("c")
    assert history.undo().present == "b" and history.undo().undo().present == "a"
    assert history.undo().undo().redo().redo() == history
    assert history.undo().undo().undo().present == "a" and history.redo() is history
    assert history.states == history.undo().undo().states == ("a", "b", "c")


def test_a_step_forgets_what_was_taken_back() -> None:
    branched = History("a").done("b").undo().done("c")
    assert branched.states == ("a", "c") and branched.redo() is branched


def test_the_oldest_steps_are_forgotten() -> None:
    history = History(0)
    for step in range(MAX_STEPS + 5):
        history = history.done(step + 1)
    assert len(history.past) == MAX_STEPS and history.past[0] == 5
