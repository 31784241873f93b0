"""One module a framework, each with a class Framework(n_threads):

    versions()                 what is installed, as a dict
    last_way_counts            optional: True where making a Job changes the whole process, so that the fastest is made again
    ways(kind, data, number)   {name: function}; each makes a Job, one documented way to run this. The server keeps the fastest.

data has NumPy arrays x (T,B,I), weight_ih (4H,I), weight_hh (4H,H), bias_ih, bias_hh (4H) in the gate order i, f, g, o, and
d_output (T,B,H); initial states are zero. A module imports its framework in __init__ and knows no other module but common.py.
"""
