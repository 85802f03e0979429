"""Two measurements beside each other: what became better, what became worse, what is not shown.

    measured    what one side is: figures by repeat, promises by run, conditions. Plain data
    of_runs     run directories and aggregates as one side
    of_bench    a document of `harness bench --json` as one side
    ranks       exact rank tests, the Hodges-Lehmann estimate, Fisher's exact test, Holm. Pure
    figures     one figure: better, worse or not shown. Pure
    promises    one promise: what became of it. Pure
    conditions  machine, load, settings and versions: what differs, and what that means. Pure
    compare     both sides to one comparison. Pure
    baseline    a side that is kept as a file

The method and how a comparison is read are in docs/comparison.md.
"""
