"""Limits and budgets: what keys, teams, routes and units may use, over all replicas together.

    plans      whose limits a request falls under, prepared once for each key and route
    estimates  what a request may cost at the most, from its body
    meters     what one scope has used; all of them, bounded
    ledger     books and settles, in every scope or in none; neither Kafka nor a clock
    judging    whether something fits, and what to say where it does not
    claims     small remainders, decided by the order of the log
    docket     the claims that are not decided yet, and their deciding
    peers      the other replicas: who is there, and how their clocks run
    beats      what is told to them, and what is heard
    sharing    carries beats to Kafka and back
    heads      lines of an answer's head about limits
    refusals   429
    limiter    what requests deal with
    parts      puts it together

docs/limits.md says what callers see; docs/decisions/0019-limits-shared-through-kafka.md why it is so.
"""
