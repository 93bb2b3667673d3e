"""What a worker tells reaches terminals and logs as plain text."""

from pipeline.distributed.worker import Outbox


def test_a_line_of_the_log_moves_nothing_on_the_terminal():
    outbox = Outbox()
    outbox.say("worker 0: \x1b[2Jcaf\u00e9\u202e")
    assert outbox.emptied() == (["worker 0: \\x1b[2Jcaf\u00e9\\u202e"], [])
