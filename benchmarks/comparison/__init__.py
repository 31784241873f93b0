"""The comparison with other frameworks; the entry point is benchmarks/compare.py.

case.py         a shape with the frameworks that run it
shapes.py       what is timed: each shape with its regime and the reason for it
shapes_formats.py   the same in formats of fewer bits, and stacks of layers
bars.py         what the rows should reach
processors.py   the processors that all processes run on
frameworks/     one module per framework with its fastest documented calls; limits.py: what the hardware allows
amx.py          whether a process may use AMX
server.py       the process of one framework: reads requests, checks results, times calls
processes.py    starts these processes and sends them requests
measure.py      one shape: check all frameworks, then time them in interleaved rounds
verdict.py      ratios, percentage of the limit, which bars are met
agreement.py    how far the times of several runs differ
table.py        the results as text
markdown.py     the results as tables of docs/performance.md
chart.py        the results as a chart
host.py         the machine and the versions
"""
