"""Bytes and messages that nobody meant, by the million, against the real link: `python -m host_tools.fuzz`.

Three settings, each with its own promise:

    asleep   no valid session: nothing moves, no gate is ever driven
    running  a session drives, others talk in between: it goes on as it was, or stops in order
    inside   the driving session itself talks nonsense: refused, or obeyed within its limits

and in all of them no exception leaves the main loop, no buffer grows beyond its bound, no request fails
inside, every frame is in one counter, every request has one answer.
"""
