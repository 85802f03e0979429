module example.test/forward

go 1.26.0

require example.test/lifeline v0.0.0

replace example.test/lifeline => ../lifeline
