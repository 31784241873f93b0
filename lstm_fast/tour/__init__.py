"""The tour: how an LSTM works, explained in the terminal with numbers computed as you read.

    gradients.py   section 1: a plain RNN and an LSTM unrolled over 50 steps
    unit.py        sections 2 to 4: the activations, one LSTM unit with its weights, two companies
    progress.py    the progress bar of sections 5 and 6
    training.py    section 5: backpropagation through time
    sunspots.py    section 6: a forecast of a real series, and the baselines it must beat
    speed.py       section 7: the speed table
    pictures.py    all pictures; the only file that needs matplotlib
    gallery.py     saves the pictures if matplotlib is installed
    story.py       sections 1 to 4 as text
    learning.py    sections 5 to 7 as text
    tour.py        the sections in order

Each file uses only those above it and the public API of the library. Nothing outside this folder imports it except
lstm_fast/explain, which shows its unit, and the command line (lstm_fast/__main__.py).
"""
