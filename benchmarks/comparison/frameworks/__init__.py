"""One module per framework, each with a class Framework(n_threads):

    versions()                the installed versions, a dict
    last_way_counts           optional: True if creating a Job changes the whole process; then the fastest is created
                              again
    ways(kind, data, format)  functions by name; each creates a Job, one documented way to run this. The server keeps
                              the fastest. Raises Unsupported with the reason if there is none

data has NumPy arrays x (T,B,I), weight_ih (4H,I), weight_hh (4H,H), bias_ih, bias_hh (4H) in the gate order i, f, g, o,
and d_output (T,B,H); the parameters of further layers are weight_ih_l1 and so on (common.layers); initial states are
zero. format is float32, float64, bfloat16 or int8. A module imports its framework in __init__ and uses no other module
than common.py.
"""
