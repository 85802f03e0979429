"""Producers under an open-loop schedule, with every attempt on record before it is made.

    schedule → users (Locust) → client → librdkafka
                                  ├ ledger         state and offset of every attempt
                                  ├ transactions   which attempts stand and fall together
                                  ├ latency        from the intended send time, and from produce()
                                  └ slots          what the timeline and Locust's page show

Only `users`, `standalone` and `process` import Locust; only `incarnation`, `outcomes` and
`transactions` call the client library. `recorder` is the process beside a Locust that somebody
started by hand.
"""
