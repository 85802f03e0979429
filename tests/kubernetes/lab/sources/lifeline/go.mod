module example.test/lifeline

go 1.26.0
