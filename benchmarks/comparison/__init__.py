"""Side by side with other frameworks; benchmarks/compare.py is the way in.

shapes.py      what is timed, each shape with its bars and its reason
server.py      the process of one framework: reads requests, checks, times
frameworks/    one module a framework: its fastest documented calls; limits.py: what the hardware can do
processes.py   starts and asks those processes
processors.py  which processors they run on
measure.py     one shape: check everybody, then rounds in turn
verdict.py     ratios, percentage of the limit, bars
table.py       as text
chart.py       as a picture
host.py        the machine and the versions
"""
