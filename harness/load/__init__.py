"""Producers under an open-loop schedule, with every attempt on record before it is made.

    schedule → users (Locust) → client → librdkafka
                                  ├ ledger         state and offset of every attempt
                                  ├ transactions   which attempts stand and fall together
                                  ├ latency        from the intended send time, and from produce()
                                  └ slots          what the timeline and Locust's page show

    master  → worker, worker, …     the same load in several processes, by Locust's own messages
      shares, clock_offset          who makes which part, by which clock
      master_side, worker_side      what they say to each other (messages)
      handing_in → arrivals         how a record made elsewhere comes into the run directory

Modules that import Locust patch the process that does it: `users`, `scenario`, `process`, `master`,
`worker` and what they import. Only `incarnation`, `outcomes`, `transactions` and `worker_side` call
the client library. `harness.runs.recorder` is the process beside a Locust that somebody started by
hand.
"""
