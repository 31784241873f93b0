"""The comparison with other frameworks; the entry point is benchmarks/compare.py.

shapes.py       what is timed: each shape with its bars and the reason for it
processors.py   the processors that all processes run on
frameworks/     one module per framework with its fastest documented calls; limits.py: what the hardware allows
server.py       the process of one framework: reads requests, checks results, times calls
processes.py    starts these processes and sends them requests
measure.py      one shape: check all frameworks, then time them in interleaved rounds
verdict.py      ratios, percentage of the limit, bars
table.py        the results as text
chart.py        the results as a chart
host.py         the machine and the versions
"""
