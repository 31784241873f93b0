"""One module per framework, each with a class Framework(n_threads):

    versions()                the installed versions, a dict
    last_way_counts           optional: True if creating a Job changes the whole process; then the fastest is created
    again ways(kind, data, dtype)   functions by name; each creates a Job, one documented way to run this. The server
    keeps the
                              fastest

data has NumPy arrays x (T,B,I), weight_ih (4H,I), weight_hh (4H,H), bias_ih, bias_hh (4H) in the gate order i, f, g, o,
and d_output (T,B,H); initial states are zero. A module imports its framework in __init__ and uses no other module than
common.py.
"""
